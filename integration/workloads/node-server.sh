# A server without the JIT compiler, for levels that refuse memory which is written and executed.
cat >/tmp/server.js <<'JS'
const http = require('http')
http.createServer((request, response) => response.end(request.url.toUpperCase())).listen(8080, '127.0.0.1')
JS
node --jitless /tmp/server.js &
await curl -fsS http://127.0.0.1:8080/
[ "$(curl -fsS http://127.0.0.1:8080/hello)" = /HELLO ]
kill %1
works
