# A JIT compiler with an event loop: a server and its clients, worker threads, watched files, children, compression and
# hashes in the thread pool.
mkdir /tmp/node
cd /tmp/node
cat >everyday.mjs <<'JS'
import assert from 'node:assert'
import { execFile, fork } from 'node:child_process'
import { scrypt } from 'node:crypto'
import { once } from 'node:events'
import fs from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'
import zlib from 'node:zlib'

const server = http.createServer((request, response) => response.end(request.url.toUpperCase()))
server.listen(8080, '127.0.0.1')
await once(server, 'listening')
const answers = await Promise.all([...Array(50).keys()].map((n) => fetch(`http://127.0.0.1:8080/a${n}`).then((r) => r.text())))
assert.equal(answers[49], '/A49')
server.close()

const local = net.createServer((peer) => peer.pipe(peer)).listen('/tmp/node/socket')
const client = net.connect('/tmp/node/socket')
client.write('echo')
assert.equal(String((await once(client, 'data'))[0]), 'echo')
client.destroy()
local.close()

const shared = new Int32Array(new SharedArrayBuffer(4))
const code = `const { workerData } = require('worker_threads'); for (let i = 0; i < 1e5; i++) Atomics.add(workerData, 0, 1)`
const workers = [1, 2, 3].map(() => new Worker(code, { eval: true, workerData: shared }))
await Promise.all(workers.map((worker) => once(worker, 'exit')))
assert.equal(shared[0], 3e5)

const watcher = fs.watch('/tmp/node')
const change = once(watcher, 'change')
fs.writeFileSync('/tmp/node/changed', 'x')
await change
watcher.close()

assert.equal((await promisify(execFile)('echo', ['child'])).stdout, 'child\n')
fs.writeFileSync('/tmp/node/child.cjs', 'process.on("message", (n) => { process.send(n + 1); process.disconnect() })')
const child = fork('/tmp/node/child.cjs')
child.send(41)
assert.equal((await once(child, 'message'))[0], 42)

await promisify(scrypt)('password', 'salt', 32)
const packed = await promisify(zlib.gzip)(Buffer.alloc(1 << 20))
assert.equal((await promisify(zlib.gunzip)(packed)).length, 1 << 20)
await fs.promises.cp('/usr/share/nodejs', '/tmp/node/copy', { recursive: true, mode: fs.constants.COPYFILE_FICLONE })

let sum = 0
for (let i = 0; i < 1e7; i++) sum = (sum + i) | 0
const wasm = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 127, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 6, 1, 4, 0, 65, 42, 11])
assert.equal((await WebAssembly.instantiate(wasm)).instance.exports.f(), 42)
JS
node everyday.mjs
works
