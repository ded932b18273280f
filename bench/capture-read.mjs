// Packets per second of reading and writing capture files, on built output: `node bench/capture-read.mjs [MiB]`.
// Prints figures, judges nothing. The files are written first (many small packets; full-size ones) and lie in the page cache.

import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';

const dist = process.env.FLOWTWIN_DIST ?? new URL('../dist/', import.meta.url).pathname;
const { CaptureRecord, PcapWriter, PcapngWriter } = await import(`${dist}/src/capture/index.js`);
const { CaptureOutput, openCapture } = await import(`${dist}/src/node/capture-files.js`);

const sizeBytes = Number(process.argv[2] ?? 128) * 1024 * 1024;
const folder = mkdtempSync(join(tmpdir(), 'flowtwin-bench-'));

function write(path, ng, lenBytes) {
  const output = new CaptureOutput(path);
  const packet = Uint8Array.from({ length: lenBytes }, (_, i) => i & 255);
  const packetCount = Math.floor(sizeBytes / (lenBytes + (ng ? 34 : 16)));
  const start = performance.now();
  const writer = ng ? new PcapngWriter(output.sink) : new PcapWriter(output.sink);
  if (ng) writer.addInterface({ name: 'a' });
  for (let n = 0; n < packetCount; n++) {
    const [seconds, fractionPs] = [1_700_000_000 + (n >> 20), (n & 0xfffff) * 1000];
    if (ng) writer.write(0, packet, 0, lenBytes, lenBytes, seconds, fractionPs);
    else writer.write(packet, 0, lenBytes, lenBytes, seconds, fractionPs);
  }
  writer.flush();
  output.close();
  return { packetCount, ms: performance.now() - start };
}

async function read(path) {
  const record = new CaptureRecord();
  const input = openCapture(path);
  let packetCount = 0;
  let sum = 0;
  const start = performance.now();
  do {
    while (input.next(record)) {
      packetCount++;
      sum += record.fractionPs + record.bytes[record.at];
    }
  } while (await input.more());
  const ms = performance.now() - start;
  input.close();
  if (sum < 0) throw new Error('unreachable');
  return { packetCount, ms };
}

function print(what, { packetCount, ms }, bytes) {
  const rate = (packetCount / ms / 1000).toFixed(2).padStart(6);
  const ns = ((ms * 1e6) / packetCount).toFixed(0).padStart(5);
  const mibs = (bytes / ms / 1048.576).toFixed(0).padStart(5);
  console.log(`${what.padEnd(28)} ${rate} M packets/s ${ns} ns/packet ${mibs} MiB/s`);
}

try {
  for (const ng of [false, true]) {
    for (const lenBytes of [60, 1514]) {
      const path = join(folder, 'file');
      const label = `${ng ? 'pcapng' : 'pcap'} ${lenBytes} bytes`;
      const written = write(path, ng, lenBytes);
      const fileBytes = statSync(path).size;
      print(`write ${label}`, written, fileBytes);
      let best = await read(path);
      for (let round = 0; round < 4; round++) {
        const result = await read(path);
        if (result.ms < best.ms) best = result;
      }
      print(`read  ${label}`, best, fileBytes);
    }
  }
  const { rss } = process.memoryUsage();
  console.log(`resident set ${(rss / 1048576).toFixed(0)} MiB, node ${process.version}`);
} finally {
  rmSync(folder, { recursive: true });
}
