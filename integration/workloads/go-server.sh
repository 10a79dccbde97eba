# What `go.sh` has built.
go-server 127.0.0.1:8080 &
await curl -fsS http://127.0.0.1:8080/
[ "$(curl -fsS http://127.0.0.1:8080/ | head -n 1)" = '4950 child' ]
curl -fsS http://127.0.0.1:8080/files/git | cmp - /usr/bin/git
kill %1
works
