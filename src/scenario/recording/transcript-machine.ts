// The machine that a transcript was recorded on, as far as its commands need it: os* are devices of offsim (on ports of a NIC), sim* and
// the ports that devlink shows are netdevsim's, any other name is a device without a driver.
//
// What a boot draws at random or a recorder set before the first command is taken from the transcript itself: addresses, indices and
// names of devices, the switch id, bytes of a health message, the number of queues. The recording machine had IPv6 off, and tc offload
// on where filters are added without a look at the features before.

import type { Kernel } from '../../../driver/kernel.ts';
import { NetDevice } from '../../../driver/netdev.ts';
import type { NetDeviceOps } from '../../../driver/netdev.ts';
import { newNetdevsim } from '../../../driver/sim/netdevsim/device.ts';
import type { NsimIdentity } from '../../../driver/sim/netdevsim/device.ts';
import { offsimFeatures, offsimOps } from '../../../driver/sim/offsim.ts';
import type { OffsimLog } from '../../../driver/sim/offsim.ts';
import { twinProbe } from '../../../driver/twin/probe.ts';
import { ModelError } from '../../../hw/base/assert.ts';
import { Testbed } from '../testbed.ts';
import type { DriverProbe } from '../testbed.ts';
import type { TranscriptEntry } from './transcript.ts';

/** Ports of the recorded netdevsim device. */
const NSIM_PORTS = 2;

export function machineFor(entries: readonly TranscriptEntry[], log: OffsimLog): Testbed {
  const names = new Set<string>();
  for (const { command } of entries) {
    for (const match of command.matchAll(/\bdev ([a-z]+[0-9]+)\b/g)) names.add(match[1]);
    const device = /^(?:ethtool (?:.* )?|ip .*link show )([a-z]+[0-9]+)\b/.exec(command);
    if (device !== null) names.add(device[1]);
  }
  const ports = [...names].filter((name) => /^os[0-9]/.test(name));
  const driver: DriverProbe = (kernel, pdev, name) => {
    const ops = offsimOps(kernel, log);
    return twinProbe(kernel, pdev, { name, ops, initFeatures: offsimFeatures }).dev;
  };
  const testbed = new Testbed({ driver, ports: ports.map((name) => ({ name })) });
  const sims = [...names].filter((name) => /^sim[0-9]/.test(name));
  if (sims.length > 0 || entries.some(({ command }) => command.startsWith('devlink ')))
    for (const name of addNetdevsim(testbed, entries, sims)) names.delete(name);
  for (const name of names) if (!ports.includes(name)) addPlainDevice(testbed.kernel, name);
  return testbed;
}

const NO_DRIVER: NetDeviceOps = {
  ndo_open: () => 0,
  ndo_stop: () => 0,
  ndo_start_xmit: () => 0,
};

function addPlainDevice(kernel: Kernel, name: string): void {
  kernel.register_netdev(new NetDevice(name, NO_DRIVER));
}

/** Adds the recorded netdevsim device, its ports up; the names of its ports. */
function addNetdevsim(
  testbed: Testbed,
  entries: readonly TranscriptEntry[],
  sims: readonly string[],
): string[] {
  const { kernel } = testbed;
  const text = entries.map(({ output }) => output).join('');
  const id = Number(/\bnetdevsim([0-9]+)\b/.exec(text)?.[1] ?? 1);
  const shown = portNames(text);
  const portNumbers = [...shown.keys()];
  const portCount = Math.max(NSIM_PORTS, ...portNumbers.map((n) => n + 1), sims.length);
  const ports = Array.from({ length: portCount }, (_, i) => shown.get(i) ?? sims[i]);
  const queues = Number(/"num_tx_queues":([0-9]+)/.exec(text)?.[1] ?? 1);
  testbed.runWords(['sysctl', '-w', 'net.ipv6.conf.all.disable_ipv6=1']);
  const error = newNetdevsim(kernel, {
    id,
    ports: portCount,
    queues,
    identity: identityOf(text, ports),
  });
  if (error !== 0) throw new ModelError(`netdevsim${id}: refused: ${error}`);
  const added: string[] = [];
  const isOffloading =
    entries.some(({ command }) => command.startsWith('tc filter add')) &&
    !entries.some(({ command }) => /^ethtool -k/.test(command));
  for (const name of ports) {
    const dev = name === undefined ? null : kernel.dev_get_by_name(name);
    if (dev === null) continue;
    kernel.dev_open(dev);
    if (isOffloading) dev.features.request(new Map([['hw-tc-offload', true]]));
    added.push(dev.name);
  }
  return added;
}

/** Names of ports by number, as `devlink port show` printed them. */
function portNames(text: string): Map<number, string> {
  const names = new Map<number, string>();
  for (const match of text.matchAll(/netdevsim\/netdevsim[0-9]+\/([0-9]+): type eth netdev (\S+)/g))
    names.set(Number(match[1]), match[2]);
  return names;
}

function identityOf(text: string, ports: readonly (string | undefined)[]): NsimIdentity {
  const of = (name: string | undefined, key: string): string | undefined => {
    const object =
      name === undefined ? null : new RegExp(`\\{[^{]*"ifname":"${name}"[^{]*`).exec(text);
    return object === null ? undefined : new RegExp(`"${key}":"?([0-9a-f:]+)`).exec(object[0])?.[1];
  };
  const switchId = /"phys_switch_id":"([0-9a-f]+)"/.exec(text)?.[1];
  const binary = /test_binary:\s+((?:[0-9a-f]{2} )+)/.exec(text)?.[1];
  const bytes = (list: string, mark: string): Uint8Array =>
    Uint8Array.from(list.trim().split(mark), (byte) => parseInt(byte, 16));
  return {
    ...(switchId === undefined ? {} : { switchId }),
    ...(binary === undefined ? {} : { binary: bytes(binary, ' ') }),
    names: ports,
    macs: ports.map((name) => {
      const mac = of(name, 'address');
      return mac === undefined ? undefined : bytes(mac, ':');
    }),
    ifindexes: ports.map((name) => {
      const ifindex = of(name, 'ifindex');
      return ifindex === undefined ? undefined : Number(ifindex);
    }),
  };
}
