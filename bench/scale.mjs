// How the stack bears many connections: memory of conntrack and flowtable, and time per packet, at 10 k and at 1 M flows.
//
//   node --expose-gc bench/scale.mjs [--flows 10000,1000000] [--mode software|classic]
//
// The machine is one of ours (two ports, driver, stack), packets are put on the wire one after the other: UDP, client 10.0.0.0/8
// to server 11.0.0.0/8 behind a gateway, two packets a flow to set it up, then packets of random flows. Memory is what
// remains after a collection, less what the same machine takes without flows. Prints figures, asserts nothing.

import { parseArgs } from 'node:util';
import { Testbed } from '../dist/bundle/node/index.js';
import { UdpFrame } from './udp.mjs';

const { values } = parseArgs({
  options: {
    flows: { type: 'string', default: '10000,1000000' },
    mode: { type: 'string', default: 'software' },
    packets: { type: 'string', default: '1000000' },
  },
});

const PS_PER_US = 1e6;
const BETWEEN_PS = 1 * PS_PER_US;

function machine() {
  const testbed = new Testbed({
    ports: [{ name: 'p0' }, { name: 'p1' }],
    memoryBytes: 64 << 20,
    ringSlots: 1024,
  });
  const flowtable =
    values.mode === 'classic'
      ? ''
      : 'flowtable ft { hook ingress priority 0; devices = { p0, p1 }; }';
  const statement = values.mode === 'classic' ? 'ct state established accept' : 'flow add @ft';
  const rules = `table ip t {\n${flowtable}\nchain f { type filter hook forward priority 0; meta l4proto udp ${statement}; }\n}\n`;
  for (const command of [
    'sysctl -q -w net.ipv4.ip_forward=1',
    'sysctl -q -w net.netfilter.nf_conntrack_max=4000000',
    'sysctl -q -w net.netfilter.nf_conntrack_udp_timeout=86400',
    'sysctl -q -w net.netfilter.nf_flowtable_udp_timeout=86400',
    'ip addr add 192.0.2.1/24 dev p0',
    'ip addr add 198.51.100.1/24 dev p1',
    'ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:01 dev p0 nud permanent',
    'ip neigh replace 198.51.100.2 lladdr 02:00:00:00:00:02 dev p1 nud permanent',
    'ip route add 10.0.0.0/8 via 192.0.2.2',
    'ip route add 11.0.0.0/8 via 198.51.100.2',
  ]) {
    const result = testbed.runWords(command.split(' '));
    if (result.status !== 0) throw new Error(`${command}: ${result.stderr}`);
  }
  const loaded = testbed.runWords(['nft', '-f', '-'], rules);
  if (loaded.status !== 0) throw new Error(loaded.stderr);
  return testbed;
}

const frame = new UdpFrame();
/** A UDP packet of flow `n`: 4,096 clients and 256 servers, the port tells the rest. */
function fill(testbed, n) {
  const client = 0x0a000000 + (n & 4095);
  const server = 0x0b000000 + ((n >>> 4) & 255);
  return frame.fill(testbed, 0, client, server, 1024 + (n >>> 12), 53);
}

let atPs = 1e12;
function send(testbed, n) {
  atPs += BETWEEN_PS;
  testbed.inject(0, atPs, fill(testbed, n));
}

function residentBytes() {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

let first = 0;
for (const text of values.flows.split(',')) {
  const flows = Number(text);
  atPs = 1e12;
  const testbed = machine();
  testbed.advanceTo(atPs);
  for (let n = 0; n < 10; n++) send(testbed, n);
  testbed.advance(1e9);
  const before = residentBytes();
  const setupStart = process.hrtime.bigint();
  for (let round = 0; round < 2; round++) for (let n = 0; n < flows; n++) send(testbed, n);
  const setupNs = Number(process.hrtime.bigint() - setupStart) / (2 * flows);
  testbed.advance(1e9);
  const memory = residentBytes() - before;
  let state = 1;
  const packets = Number(values.packets);
  const start = process.hrtime.bigint();
  for (let i = 0; i < packets; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    send(testbed, (state >>> 8) % flows);
  }
  const ns = Number(process.hrtime.bigint() - start) / packets;
  testbed.checkInvariants();
  const connections = testbed.netfilter.conntrack.table.count;
  const inTable = testbed.netfilter.flowtables.list().reduce((sum, t) => sum + t.liveCount, 0);
  if (first === 0) first = ns;
  console.log(
    `${values.mode}  ${connections} connections, ${inTable} flows: ${(memory / 1e6).toFixed(0)} MB for them, ` +
      `${setupNs.toFixed(0)} ns a packet of set-up, ${ns.toFixed(0)} ns a packet after it (${(ns / first).toFixed(2)} times the first)`,
  );
}
