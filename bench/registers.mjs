// `node bench/registers.mjs`: what one register access of a driver costs in host time, on built output. Kinds of registers apart:
// plain storage, hooks, doorbells, statistics. Bar: `nic.functions[0].bar0`, and as the reference driver reaches it (Mmio, charged).
// Prints nanoseconds per access (the best of several rounds); asserts nothing.

import { HostMemory, Nic, Scheduler, genericNic, regs as R } from '../dist/bundle/node/hw.js';
import { Mmio, hostCosts } from '../dist/bundle/node/driver.js';

const ACCESSES = 2_000_000;
const ROUNDS = 5;

const scheduler = new Scheduler();
const memory = new HostMemory(1 << 20);
const observer = { onEgress() {}, onDrop() {}, onRx() {} };
const nic = new Nic(genericNic(), { scheduler, memory, msix: { interrupt() {} }, observer });
const { bar0 } = nic.functions[0];
const charger = { charge: (costPs) => (scheduler.nowPs += costPs) };
const mmio = new Mmio(bar0, charger, hostCosts());
scheduler.nowPs = 1e12;
bar0.write32(R.RDBAL(0), memory.main.iova);
bar0.write32(R.RDLEN(0), 4096);
bar0.write32(R.RXDCTL(0), R.RXDCTL_ENABLE);
bar0.write32(R.TDBAL(0), memory.main.iova + 4096);
bar0.write32(R.TDLEN(0), 4096);
bar0.write32(R.DMATXCTL, bar0.read32(R.DMATXCTL) | R.DMATXCTL_TE);
bar0.write32(R.TXDCTL(0), R.TXDCTL_ENABLE);
scheduler.runUntil(1e12 + 1e9);
bar0.read32(R.RXDCTL(0));

let sink = 0;
const kinds = [
  ['read storage (RXCSUM)', (bar) => (sink ^= bar.read32(R.RXCSUM))],
  ['write storage (RXCSUM)', (bar, i) => bar.write32(R.RXCSUM, i & 0x3000)],
  ['read RDH', (bar) => (sink ^= bar.read32(R.RDH(0)))],
  ['read RXDCTL (enable bit)', (bar) => (sink ^= bar.read32(R.RXDCTL(0)))],
  ['read LINKS', (bar) => (sink ^= bar.read32(R.LINKS))],
  ['read GPRC (clears)', (bar) => (sink ^= bar.read32(R.GPRC))],
  ['read EICR (clears)', (bar) => (sink ^= bar.read32(R.EICR))],
  ['write EIMS', (bar) => bar.write32(R.EIMS, 1)],
  ['write RDT (doorbell)', (bar, i) => bar.write32(R.RDT(0), i & 255)],
  ['write TDT (doorbell, empty)', (bar) => bar.write32(R.TDT(0), 0)],
];
for (const [name, access] of kinds) {
  const figures = [bar0, mmio].map((bar) => measure(bar, access));
  console.log(
    `${name.padEnd(30)} ${figures.map((ns) => `${ns.toFixed(1)} ns`).join(', charged ')}`,
  );
}
if (sink === 0.5) console.log(sink);

function measure(bar, access) {
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < ACCESSES; i++) access(bar, i);
    best = Math.min(best, Number(process.hrtime.bigint() - start) / ACCESSES);
  }
  return best;
}
