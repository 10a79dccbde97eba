# A web server: files by sendfile and by threads, a proxy to itself, a reload, an orderly end. Root listens on port 80
# and serves as www-data; any other user listens above 1024.
port=80 user='user www-data;'
[ "$(id -u)" = 0 ] || port=8080 user=
at=http://127.0.0.1:$port
mkdir -m 755 /tmp/nginx /tmp/nginx/files
head -c 3000000 /dev/urandom >/tmp/nginx/files/large
listen="listen $port; listen unix:/tmp/nginx/socket;"
[ ! -e /proc/net/if_inet6 ] || listen="$listen listen [::]:$port;"

configure() {
  cat >/tmp/nginx/conf <<CONF
$user
pid /tmp/nginx/pid;
error_log /tmp/nginx/error.log info;
worker_processes 2;
daemon off;
events { worker_connections 256; }
http {
  access_log /tmp/nginx/access.log;
  sendfile on;
  tcp_nopush on;
  client_body_temp_path /tmp/nginx/body;
  proxy_temp_path /tmp/nginx/proxy;
  fastcgi_temp_path /tmp/nginx/fastcgi;
  uwsgi_temp_path /tmp/nginx/uwsgi;
  scgi_temp_path /tmp/nginx/scgi;
  proxy_cache_path /tmp/nginx/cache keys_zone=cache:1m;
  server {
    $listen
    root /tmp/nginx/files;
    location = /version { return 200 "$1"; }
    location /threads/ { alias /tmp/nginx/files/; aio threads; sendfile off; }
    location /proxied/ { proxy_pass http://unix:/tmp/nginx/socket:/; proxy_cache cache; }
  }
}
CONF
}

configure one
nginx -e /tmp/nginx/error.log -c /tmp/nginx/conf -t
nginx -e /tmp/nginx/error.log -c /tmp/nginx/conf &
await curl -fsS "$at/version"
for place in large threads/large proxied/large proxied/large; do
  curl -fsS "$at/$place" | cmp - /tmp/nginx/files/large
done
[ ! -e /proc/net/if_inet6 ] || curl -fsS "http://[::1]:$port/version" >/dev/null
[ "$(curl -sS -o /dev/null -w '%{http_code}' "$at/absent")" = 404 ]

configure two
nginx -e /tmp/nginx/error.log -c /tmp/nginx/conf -s reload
await sh -c "curl -fsS $at/version | grep -x two"
nginx -e /tmp/nginx/error.log -c /tmp/nginx/conf -s quit
wait
fails grep -E 'emerg|alert|crit' /tmp/nginx/error.log
works
