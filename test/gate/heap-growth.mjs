// Child of allocation.test.ts: plays N and 2N packets of one flow that stays in hardware on built output, and prints how much
// the heap grew per packet between them. A slope, not a single reading: warm-up garbage cancels out.

import { Testbed } from '../../dist/src/index.js';

const testbed = new Testbed();
testbed.learn(Uint8Array.of(10, 0, 0, 1), 0, Uint8Array.of(2, 0, 0, 0, 0, 1));
testbed.learn(Uint8Array.of(10, 0, 1, 2), 1, Uint8Array.of(2, 0, 0, 0, 0, 2));
for (const words of [
  ['sysctl', '-w', 'net.ipv4.ip_forward=1'],
  ['ip', 'addr', 'add', '192.0.0.8/32', 'dev', 'p0'],
  ['nft', '-f', '-'],
]) {
  const stdin =
    'table inet t { flowtable ft { hook ingress priority 0; devices = { p0, p1 }; flags offload; }\n' +
    'chain f { type filter hook forward priority 0; meta l4proto udp flow add @ft; }\n}\n';
  const result = testbed.runWords(words, stdin);
  if (result.status !== 0) throw new Error(`${words.join(' ')}: ${result.stderr}`);
}

const frame = Uint8Array.from([
  ...testbed.devices[0].mac,
  ...[2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 32, 0, 0, 0x40, 0, 64, 17, 0, 0],
  ...[10, 0, 0, 1, 10, 0, 1, 2, 0x9c, 0x40, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4],
]);
let sum = 0;
for (let i = 14; i < 34; i += 2) sum += frame[i] * 256 + frame[i + 1];
sum = (sum & 0xffff) + (sum >>> 16);
frame[24] = (~sum >> 8) & 0xff;
frame[25] = ~sum & 0xff;

// The clock is moved by a small integer and frames arrive now: a time in a variable of this script would itself be garbage.
testbed.advanceTo(1e12);
function play(count) {
  for (let i = 0; i < count; i++) {
    testbed.advance(1e6);
    testbed.inject(0, 0, frame, 0, frame.length, i);
  }
}

play(300_000); // offloads the flow and warms up, until the compiler has settled
const N = 200_000;
global.gc();
const start = process.memoryUsage().heapUsed;
play(N);
const afterN = process.memoryUsage().heapUsed;
play(2 * N);
const after3N = process.memoryUsage().heapUsed;
testbed.checkInvariants();
const hardware = testbed.ledger.fatePackets[0];
const bytesPerPacket = (after3N - afterN - (afterN - start)) / N;
console.log(JSON.stringify({ bytesPerPacket, hardware, packets: testbed.ledger.inPackets }));
