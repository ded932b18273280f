// 200,000 new connections per simulated second, each offloaded: how many reach the hardware table, how soon, and what that costs us.
//
//   node bench/connections.mjs [--rate 200000] [--seconds 0.5] [--cores 2]
//
// UDP, one new connection every 1/rate: its first packet, the reply 50 us later (the reply makes it ESTABLISHED, and `flow add`
// asks for hardware), then data 1, 2 and 5 ms after the first packet. What limits the offload is the card's admin queue, which takes
// one command after the other, two adds a connection, and the cores that carry the work queue: above the rate that these give, the time
// to hardware grows, and software carries the packets meanwhile. Prints figures, asserts nothing.

import { parseArgs } from 'node:util';
import { Testbed } from '../dist/bundle/node/index.js';
import { genericNic } from '../dist/bundle/node/hw.js';
import { tuneEngine } from '../dist/bundle/node/engine.js';
import { UdpFrame } from './udp.mjs';

const { values } = parseArgs({
  options: {
    rate: { type: 'string', default: '200000' },
    seconds: { type: 'string', default: '0.5' },
    cores: { type: 'string', default: '2' },
  },
});
tuneEngine();

const PS_PER_S = 1e12;
const rate = Number(values.rate);
const connections = Math.round(rate * Number(values.seconds));
const gapPs = Math.floor(PS_PER_S / rate);
/** Packets of a connection: after how many other connections began, and whether it is a reply. */
const PACKETS = [
  [0, 0],
  [50e-6, 1],
  [1e-3, 0],
  [2e-3, 1],
  [5e-3, 0],
].map(([seconds, isReply]) => [Math.round(seconds * rate), isReply]);

const testbed = machine();
const frame = new UdpFrame();
const startPs = testbed.nowPs + gapPs;
const start = process.cpuUsage();
const last = PACKETS[PACKETS.length - 1][0];
for (let n = 0; n < connections + last; n++) {
  PACKETS.forEach(([behind, isReply], i) => {
    if (n >= behind && n - behind < connections)
      send(n - behind, isReply, startPs + n * gapPs + (i * gapPs) / PACKETS.length);
  });
}
testbed.settle(testbed.nowPs + PS_PER_S);
const trafficPs = testbed.nowPs - startPs;
testbed.advance(PS_PER_S / 10);
const cpuSeconds = process.cpuUsage(start).user / 1e6;
testbed.checkInvariants();

const { counters } = testbed.netfilter.flowtables.list()[0];
const { fatePackets, inPackets } = testbed.ledger;
const share = (count) => `${((100 * count) / inPackets).toFixed(1)} %`;
const us = (ps) => `${(ps / 1e6).toFixed(0)} us`;
const wait = counters.timeToHardware;
console.log(
  `${connections} connections in ${(trafficPs / PS_PER_S).toFixed(2)} s simulated, ${rate} a second`,
);
console.log(
  `offload  asked ${counters.hwAsked}, installed ${counters.hwInstalled}, refused ${counters.hwRefused}; ` +
    `first packet to hardware p50 ${us(wait.percentilePs(50))}, p99 ${us(wait.percentilePs(99))}`,
);
const [hardware, fast, classic, , dropped] = fatePackets;
console.log(
  `packets  hardware ${share(hardware)}, fast path ${share(fast)}, classic path ${share(classic)}, dropped ${share(dropped)}`,
);
const perSecond = (connections / cpuSeconds / 1000).toFixed(1);
console.log(
  `host     ${cpuSeconds.toFixed(1)} s of processor time: ${perSecond} k connections and ` +
    `${(inPackets / cpuSeconds / 1e6).toFixed(2)} M packets a second`,
);

function machine() {
  const { exactMatch } = genericNic();
  const made = new Testbed({
    ports: [{ name: 'p0' }, { name: 'p1' }],
    cores: Number(values.cores),
    device: { exactMatch: { ...exactMatch, entries: 1 << 20 } },
  });
  const rules =
    'table ip t {\nflowtable ft { hook ingress priority 0; devices = { p0, p1 }; flags offload; }\n' +
    'chain f { type filter hook forward priority 0; meta l4proto udp flow add @ft; }\n}\n';
  for (const command of [
    'sysctl -q -w net.ipv4.ip_forward=1',
    'sysctl -q -w net.netfilter.nf_conntrack_max=4000000',
    'ip addr add 192.0.2.1/24 dev p0',
    'ip addr add 198.51.100.1/24 dev p1',
    'ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:01 dev p0 nud permanent',
    'ip neigh replace 198.51.100.2 lladdr 02:00:00:00:00:02 dev p1 nud permanent',
    'ip route add 10.0.0.0/8 via 192.0.2.2',
    'ip route add 11.0.0.0/8 via 198.51.100.2',
  ])
    must(made.runWords(command.split(' ')));
  must(made.runWords(['nft', '-f', '-'], rules));
  made.advance(PS_PER_S / 10);
  return made;
}

function must({ status, stderr }) {
  if (status !== 0) throw new Error(stderr);
}

/** A packet of connection `n`: 4,096 clients, 256 servers, the port tells the rest. */
function send(n, isReply, atPs) {
  const client = 0x0a000000 + (n & 4095);
  const server = 0x0b000000 + ((n >>> 4) & 255);
  const port = 1024 + (n >>> 12);
  const bytes =
    isReply === 1
      ? frame.fill(testbed, 1, server, client, 53, port)
      : frame.fill(testbed, 0, client, server, port, 53);
  testbed.inject(isReply, atPs, bytes);
}
