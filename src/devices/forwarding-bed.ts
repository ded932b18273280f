// A saturated router: a machine with so many cores and queue pairs, frames of 60 bytes offered on port 0 faster than it can forward,
// evenly over the queues, and the rate at which they leave port 1, in simulated time. Forwarding rates of the model come from
// here: everything runs that a replay runs (ports, pipeline, rings, PCIe, driver, cores), only the frames come from a loop.
//
// Paths: 'linux' is IPv4 forwarding over one route; 'classic', 'software' and 'hardware' are the same with connection tracking and a
// forward chain, without a flowtable, with one in software, and with one in hardware. 'xdp' is XDP_REDIRECT into the other port: the
// driver's own receive and transmit steps with doorbells for up to 16 packets, nothing of the stack and no packet handle.

import { hostCosts } from '../../driver/costs.ts';
import type { HostCosts } from '../../driver/costs.ts';
import { ModelError } from '../../hw/base/assert.ts';
import type { IoCacheConfig } from '../../hw/dma/io-cache.ts';
import { genericNic } from '../../hw/models.ts';
import { tokenize } from '../scenario/commands/command.ts';
import { Testbed } from '../scenario/testbed.ts';

export type ForwardingPath = 'linux' | 'classic' | 'software' | 'hardware' | 'xdp';

export interface ForwardingSetup {
  path: ForwardingPath;
  cores: number;
  /** Receive descriptors per queue; transmit rings have 1024. */
  rxSlots: number;
  /** Packets per second and core that are offered. */
  offeredPerCore: number;
  ioCache?: IoCacheConfig;
}

export interface ForwardingRate {
  /** Forwarded packets per second of simulated time. */
  packetsPerSecond: number;
  /** Time that the cores worked per second, in cores (`cores` when saturated). */
  busyCores: number;
  /** Share of received frames whose header had to come from memory, 0 without a cache model. */
  missRatio: number;
}

const MS = 1e9;
const SETTLE_PS = 10 * MS;
/** Until rings, caches and rates are steady, and how long is measured: a hundred polls of 64 packets a core and more. */
const WARM_PS = 0.4 * MS;
const MEASURE_PS = {
  linux: 2 * MS,
  classic: 3 * MS,
  software: 2 * MS,
  hardware: 0.2 * MS,
  xdp: MS,
};
const TX_SLOTS = 1024;
/** DEV_MAP_BULK_SIZE of kernel 4.18: packets that XDP gathers for one doorbell. */
const XDP_BULK = 16;
const FRAME_BYTES = 60;
const SOURCE = '10.0.1';
const SINK = '10.0.2.2';
const PEER_MAC = '02:00:00:00:00:99';

/** Costs of the XDP path: the steps that it does not have cost nothing. */
function xdpCosts(): HostCosts {
  return { ...hostCosts(), skbBuildPs: 0, netifReceivePs: 0, devQueueXmitPs: 0, qdiscPs: 0 };
}

/** Runs the machine and measures. Throws ModelError when the traffic does not take the path. */
export function forwardingRate(setup: ForwardingSetup): ForwardingRate {
  const bed = makeBed(setup);
  if (setup.path === 'xdp') redirect(bed);
  else configure(bed, setup.path);
  bed.advance(SETTLE_PS);
  const frames = framesPerQueue(bed, setup.cores);
  if (setup.path !== 'xdp' && setup.path !== 'linux') establish(bed, frames, setup.path);
  const gapPs = 1e12 / (setup.offeredPerCore * setup.cores);
  const startPs = bed.nowPs + WARM_PS;
  const elapsedPs = MEASURE_PS[setup.path];
  let sent = 0;
  bed.onFrame = ({ endPs }) => {
    // Times on the line are computed ahead: what leaves after the window does not count.
    if (endPs >= startPs && endPs < startPs + elapsedPs) sent++;
  };
  offer(bed, frames, gapPs, WARM_PS);
  const { ioCache } = bed.memory;
  const busyPs = coresBusyPs(bed);
  const [hits, misses] = [ioCache?.hits ?? 0, ioCache?.misses ?? 0];
  offer(bed, frames, gapPs, elapsedPs);
  const missed = (ioCache?.misses ?? 0) - misses;
  const found = (ioCache?.hits ?? 0) - hits;
  return {
    packetsPerSecond: (sent * 1e12) / elapsedPs,
    busyCores: (coresBusyPs(bed) - busyPs) / elapsedPs,
    missRatio: missed === 0 ? 0 : missed / (missed + found),
  };
}

function makeBed(setup: ForwardingSetup): Testbed {
  const { path, cores, rxSlots, ioCache } = setup;
  const standard = genericNic();
  return new Testbed({
    cores,
    device: {
      queues: cores,
      vectors: cores + 2,
      lineRateBps: 100e9,
      // ConnectX-5 (hw 4.1): Gen3 x16.
      pcie: { ...standard.pcie, lanes: 16 },
    },
    twin: { rxSlots, txSlots: TX_SLOTS },
    ...(path === 'xdp' ? { stack: false, costs: xdpCosts() } : {}),
    ...(ioCache === undefined ? {} : { ioCache }),
  });
}

/** The other port's driver takes every packet that this one's passes up. */
function redirect(bed: Testbed): void {
  const { kernel, devices } = bed;
  kernel.transmit.bulk = XDP_BULK;
  kernel.rxHandler = {
    receive: (skb) => {
      kernel.dev_queue_xmit(skb, devices[1]);
    },
  };
  for (const dev of devices) kernel.dev_open(dev);
}

const FLOWTABLES: Readonly<Record<string, string>> = {
  classic: '',
  software: 'flowtable ft { hook ingress priority 0; devices = { p0, p1 }; }',
  hardware: 'flowtable ft { hook ingress priority 0; devices = { p0, p1 }; flags offload; }',
};

/** Addresses, neighbours and the rule set. */
function configure(bed: Testbed, path: ForwardingPath): void {
  const lines = [
    'sysctl -w net.ipv4.ip_forward=1',
    'ip addr add 10.0.1.1/24 dev p0',
    'ip addr add 10.0.2.1/24 dev p1',
    `ip neigh add ${SINK} lladdr ${PEER_MAC} dev p1 nud permanent`,
    ...Array.from(
      { length: 254 },
      (_, i) => `ip neigh add ${SOURCE}.${i + 1} lladdr ${PEER_MAC} dev p0 nud permanent`,
    ).slice(1),
  ];
  for (const line of lines) run(bed, line);
  const flowtable = FLOWTABLES[path];
  if (flowtable === undefined) return;
  const verdict = flowtable === '' ? 'accept' : 'flow add @ft';
  const hook = 'type filter hook forward priority 0; policy accept;';
  const chain = `chain forward { ${hook} ct state established ${verdict}; }`;
  run(bed, 'nft -f -', `table inet filter {\n${flowtable}\n${chain}\n}\n`);
}

function run(bed: Testbed, line: string, stdin?: string): void {
  const result = bed.runWords(tokenize(line)[0], stdin);
  if (result.status !== 0) throw new ModelError(`${line}: ${result.stderr}`);
}

/** One frame per receive queue of port 0: source addresses are tried until every queue has one. */
function framesPerQueue(bed: Testbed, queues: number): Uint8Array[] {
  const frames: Uint8Array[] = [];
  const { nic } = bed;
  let found = 0;
  for (let host = 2; host < 255 && found < queues; host++) {
    const frame = udpFrame(bed.devices[0].mac, [10, 0, 1, host], [10, 0, 2, 2], 1000, 9);
    nic.packets.copyIn(nic.packets.stage(), frame, 0, frame.length);
    nic.pipeline.parse(nic.packets.view, nic.packets.stage(), frame.length, 0);
    const queue = nic.functions[0].rss.classify(nic.pipeline.key);
    if (frames[queue] !== undefined) continue;
    frames[queue] = frame;
    found++;
  }
  if (found < queues) throw new ModelError('forwarding bed: no flow for some queue');
  return frames;
}

/** A UDP frame of 60 bytes without UDP checksum. */
function udpFrame(
  toMac: Uint8Array,
  src: readonly number[],
  dst: readonly number[],
  sport: number,
  dport: number,
): Uint8Array {
  const frame = new Uint8Array(FRAME_BYTES);
  const view = new DataView(frame.buffer);
  frame.set(toMac, 0);
  frame.set([2, 0, 0, 0, 0, 0x99], 6);
  view.setUint16(12, 0x0800);
  frame.set([0x45, 0, 0, FRAME_BYTES - 14, 0, 0, 0x40, 0, 64, 17], 14);
  frame.set(src, 26);
  frame.set(dst, 30);
  let sum = 0;
  for (let i = 14; i < 34; i += 2) sum += view.getUint16(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(24, ~sum & 0xffff);
  view.setUint16(34, sport);
  view.setUint16(36, dport);
  view.setUint16(38, FRAME_BYTES - 34);
  return frame;
}

/** One packet of each flow each way, twice, so that every connection is established, and time for the hardware to take them. */
function establish(bed: Testbed, frames: readonly Uint8Array[], path: ForwardingPath): void {
  for (let round = 0; round < 2; round++)
    for (const frame of frames) {
      const reply = udpFrame(bed.devices[1].mac, [10, 0, 2, 2], [...frame.slice(26, 30)], 9, 1000);
      bed.inject(0, bed.nowPs, frame);
      bed.advance(MS);
      bed.inject(1, bed.nowPs, reply);
      bed.advance(MS);
    }
  bed.advance(SETTLE_PS);
  const before = bed.nic.ctx.stats[0].forwarded;
  for (const frame of frames) bed.inject(0, bed.nowPs, frame);
  bed.advance(MS);
  const inHardware = bed.nic.ctx.stats[0].forwarded - before;
  if (inHardware !== (path === 'hardware' ? frames.length : 0))
    throw new ModelError(`forwarding bed: ${inHardware} flows in hardware, path ${path}`);
}

/** Offers frames round robin, one every `gapPs`, for `forPs`. */
function offer(bed: Testbed, frames: readonly Uint8Array[], gapPs: number, forPs: number): void {
  const { scheduler, nic } = bed;
  const startPs = scheduler.nowPs;
  const count = Math.floor(forPs / gapPs);
  for (let n = 0; n < count; n++) {
    const frame = frames[n % frames.length];
    const atPs = startPs + n * gapPs;
    scheduler.runUntil(atPs);
    nic.frameIn(0, atPs, frame, 0, FRAME_BYTES, -1);
  }
  scheduler.runUntil(startPs + forPs);
}

function coresBusyPs(bed: Testbed): number {
  return bed.kernel.cores.reduce((total, core) => total + core.busyPs, 0);
}
