//! The parent's half: makes the child, gives it its order, hears its reports.
