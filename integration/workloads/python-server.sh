# The web server of Python's library.
mkdir /tmp/files
head -c 1000000 /dev/urandom >/tmp/files/large
python3 -m http.server --bind 127.0.0.1 --directory /tmp/files 8000 &
await curl -fsS http://127.0.0.1:8000/
curl -fsS http://127.0.0.1:8000/large | cmp - /tmp/files/large
kill %1
works
