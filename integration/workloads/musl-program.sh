# What `musl.sh` has built.
musl-program
works
