// The claim that came with the tun steering policies (2017): 37 % more packets per second with the processor-id policy than with
// the automatic one, for traffic made by MoonGen and redirected into a tap with the xdp_redirect sample. The letter gives no
// packet size, processor, number of queues or absolute figure, so it gates nothing.
//
// What is run here: four cores, each with its own share of 1,024 UDP flows from the NIC, send without pause into a tap of four
// queues. Nobody writes, so the automatic policy dissects, hashes and looks up every packet and never hits, and puts flows of all
// cores into each ring, while the processor-id policy gives each core a ring of its own. Per packet a core pays for the driver,
// the packet handle, the receive core and the XDP program (driver/costs.ts, spec/hardware.md 5), then what the device's own code
// charges (src/stack/tun/costs.ts). Readers keep pace and cost nothing here: they run on other cores.

import { Kernel } from '../../driver/kernel.ts';
import { HostMemory } from '../../hw/dma/host-memory.ts';
import { Scheduler } from '../../hw/time/scheduler.ts';
import { PS_PER_NS, PS_PER_S } from '../../hw/time/units.ts';
import { ModelError } from '../../hw/base/assert.ts';
import { CPU } from '../stack/tun/steering.ts';
import { makeIfreq } from '../stack/tun/tun-attach.ts';
import type { TunDevice } from '../stack/tun/tun-device.ts';
import { TunDriver } from '../stack/tun/tun-driver.ts';
import { IFF_MULTI_QUEUE, IFF_NO_PI, IFF_TAP } from '../stack/tun/uapi.ts';
import { row } from './validation-row.ts';
import type { Published } from './validation-row.ts';

const CORES = 4;
const FLOWS = 1024;
const PACKETS = 40_000;
/** A no-op XDP program in front of the stack (spec/hardware.md 5.1): +13.3 ns. */
const XDP_PROGRAM_PS = 13.3 * PS_PER_NS;
const FRAME_BYTES = 60;

/** What a policy did with the traffic. */
interface PolicyRun {
  mpps: number;
  note: string;
}

export function tunRows(): Published[] {
  const automatic = run('automatic', false);
  const cpu = run('processor id', true);
  const ratio = cpu.mpps / automatic.mpps;
  const source = 'claim in the cover letter of the tun steering RFC, 2017-09-27';
  const what = 'tap, one-way traffic, processor id over automatic policy';
  const own = 'this model';
  return [
    row('C4', 'tap, one-way traffic, 4 cores: automatic policy', own, 'Mpps', null, automatic.mpps),
    row('C4', '... processor id', own, 'Mpps', null, cpu.mpps),
    {
      ...row('C4', what, source, 'times', 1.37, ratio, { gated: false }),
      notes: [automatic.note, cpu.note],
    },
  ];
}

function run(name: string, isCpu: boolean): PolicyRun {
  const kernel = new Kernel({
    scheduler: new Scheduler(),
    memory: new HostMemory(4 << 20),
    coreCount: CORES,
  });
  const tun = makeTap(kernel);
  if (isCpu) tun.policy = CPU;
  const sent = new Int32Array(CORES);
  for (let i = 0; i < PACKETS; i++) {
    // The core that is free first sends its next packet.
    let cpu = 0;
    for (let c = 1; c < CORES; c++) if (kernel.cores[c].freePs < kernel.cores[cpu].freePs) cpu = c;
    const flow = (sent[cpu]++ * CORES + cpu) % FLOWS;
    kernel.inContext(cpu, () => redirect(kernel, tun, flow));
    drain(kernel, tun);
  }
  const endPs = Math.max(...kernel.cores.map((core) => core.freePs));
  const mpps = (PACKETS * PS_PER_S) / endPs / 1e6;
  const { lookups, hits, creations, refusals } = tun.flows.counters;
  const note =
    `C4, ${name}: ${mpps.toFixed(2)} Mpps on ${CORES} cores, ${PACKETS} packets of ${FLOWS} flows: ` +
    `${tun.hasher.count} hash computations, ${lookups} look-ups, ${hits} hits, ${creations} creations, ` +
    `${refusals} refusals, ${tun.ringLockSwitches} ring-lock switches`;
  return { mpps, note };
}

/** A tap with a queue for each core, up. */
function makeTap(kernel: Kernel): TunDevice {
  const driver = new TunDriver({
    kernel,
    drop: (skb) => kernel.free_skb(skb),
    consume: (skb) => kernel.free_skb(skb),
    linkAdded: () => undefined,
    net: kernel.initNet,
  });
  const ifreq = makeIfreq('tap0', IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE);
  for (let i = 0; i < CORES; i++) driver.ioctl(driver.open(), 'TUNSETIFF', ifreq);
  const [tun] = driver.devices();
  if (tun === undefined || tun.numqueues !== CORES) throw new ModelError('no tap');
  kernel.dev_open(tun.dev);
  return tun;
}

/** Driver, handle, receive core, XDP program, then generic XDP's redirect: queue selection and ndo_start_xmit, no qdisc. */
function redirect(kernel: Kernel, tun: TunDevice, flow: number): void {
  const { costs } = kernel;
  kernel.charge(costs.rxDescriptorPs + costs.skbBuildPs + costs.netifReceivePs + XDP_PROGRAM_PS);
  const skb = kernel.alloc_skb(FRAME_BYTES);
  if (skb === null) throw new ModelError('no packet buffer');
  fill(skb.bytes, skb.at, flow);
  skb.lenBytes = FRAME_BYTES;
  skb.macAt = skb.at;
  skb.networkAt = skb.at + 14;
  skb.queueMapping = kernel.transmit.pickQueue(skb, tun.dev);
  tun.dev.ops.ndo_start_xmit(skb, tun.dev);
}

/** A UDP frame whose flow is in its source address and port. */
function fill(bytes: Uint8Array, at: number, flow: number): void {
  bytes.fill(0, at, at + FRAME_BYTES);
  bytes[at + 12] = 0x08;
  bytes[at + 14] = 0x45;
  bytes[at + 17] = FRAME_BYTES - 14;
  bytes[at + 22] = 64;
  bytes[at + 23] = 17;
  bytes.set([10, 0, flow >> 8, flow & 0xff, 10, 1, 0, 1], at + 26);
  bytes.set([0x30, flow & 0xff, 0, 9, 0, 26], at + 34);
}

/** Readers that keep pace. */
function drain(kernel: Kernel, tun: TunDevice): void {
  for (const { ring } of tun.queues) {
    const skb = ring.shift();
    if (skb !== null) kernel.free_skb(skb);
  }
}
