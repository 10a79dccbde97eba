//! A container's life: what is stored of it, and the commands that move it from state to state.

pub mod state;
