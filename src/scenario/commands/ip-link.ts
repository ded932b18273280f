// `ip link` of iproute2 6.1: show, set, add (VLAN devices) and delete.
//
// Kinds other than vlan are refused as by a kernel without them. Settings that the model does not have (master, alias, vf, ...)
// answer EOPNOTSUPP.

import type { NetDevice } from '../../../driver/netdev.ts';
import {
  IFF_ALLMULTI,
  IFF_BROADCAST,
  IFF_LOOPBACK,
  IFF_MULTICAST,
  IFF_PROMISC,
} from '../../../driver/netdev.ts';
import { OK, refuse } from '../../stack/answer.ts';
import type { Answer } from '../../stack/answer.ts';
import { formatMac, parseMac } from '../../stack/ip/address.ts';
import type { NetStack } from '../../stack/net-stack.ts';
import { failed, ok } from './command.ts';
import type { CommandContext, CommandResult } from './command.ts';
import {
  IpError,
  Words,
  abbreviates,
  answered,
  deviceOf,
  garbage,
  jsonText,
  numberOf,
  wrongArgument,
} from './ip-common.ts';
import type { IpOptions } from './ip-common.ts';

/** `ip link VERB ...`. */
export function link(words: Words, ctx: CommandContext, options: IpOptions): CommandResult {
  if (words.isEmpty) return show(words, ctx.stack, options);
  const verb = words.next();
  if (abbreviates(verb, 'add')) return add(words, ctx.stack);
  if (abbreviates(verb, 'set') || abbreviates(verb, 'change')) return set(words, ctx.stack);
  if (abbreviates(verb, 'show') || abbreviates(verb, 'lst') || abbreviates(verb, 'list'))
    return show(words, ctx.stack, options);
  if (abbreviates(verb, 'delete')) return remove(words, ctx.stack);
  throw new IpError(255, `Command "${verb}" is unknown, try "ip link help".`);
}

// ---- set ----

interface LinkChange {
  up: boolean | null;
  mtuBytes: number;
  mac: Uint8Array | null;
  name: string;
  txqueuelen: number;
  setFlags: number;
  clearFlags: number;
  unsupported: boolean;
}

const FLAG_WORDS: Readonly<Record<string, number>> = {
  promisc: IFF_PROMISC,
  allmulticast: IFF_ALLMULTI,
  multicast: IFF_MULTICAST,
};
const UNSUPPORTED = [
  'master',
  'alias',
  'group',
  'netns',
  'vf',
  'type',
  'vrf',
  'xdp',
  'arp',
  'mode',
];

function set(words: Words, stack: NetStack): CommandResult {
  const change: LinkChange = {
    up: null,
    mtuBytes: -1,
    mac: null,
    name: '',
    txqueuelen: -1,
    setFlags: 0,
    clearFlags: 0,
    unsupported: false,
  };
  let device = '';
  while (!words.isEmpty) {
    const word = words.next();
    if (word === 'up') change.up = true;
    else if (word === 'down') change.up = false;
    else if (word === 'mtu') change.mtuBytes = numberOf(words.next(), 'Invalid "mtu" value\n');
    else if (word === 'address' || word === 'lladdr') change.mac = macOf(words.next());
    else if (word === 'name') change.name = words.next();
    else if (word === 'txqueuelen' || word === 'qlen' || word === 'txqlen')
      change.txqueuelen = numberOf(words.next(), 'Invalid "txqueuelen" value\n');
    else if (word in FLAG_WORDS) {
      if (onOff(words.next(), word)) change.setFlags |= FLAG_WORDS[word];
      else change.clearFlags |= FLAG_WORDS[word];
    } else if (word === 'nomaster') continue;
    else if (UNSUPPORTED.includes(word)) {
      change.unsupported = true;
      words.next();
    } else {
      const name = word === 'dev' ? words.next() : word;
      if (device !== '') throw garbage('dev', name);
      device = name;
    }
  }
  if (device === '') return failed(255, 'Not enough of information: "dev" argument is required.\n');
  return answered(apply(stack, deviceOf(stack, device), change));
}

/** In do_setlink's order: address, MTU, name, queue length, flags. */
function apply(stack: NetStack, dev: NetDevice, change: LinkChange): Answer {
  const { links } = stack;
  if (change.unsupported) return refuse(95, '', 'link-setting');
  let answer: Answer = OK;
  if (change.mac !== null) answer = links.setAddress(dev, change.mac);
  if (answer.error === 0 && change.mtuBytes >= 0) answer = links.setMtu(dev, change.mtuBytes);
  if (answer.error === 0 && change.name !== '') answer = links.rename(dev, change.name);
  if (answer.error !== 0) return answer;
  if (change.txqueuelen >= 0) dev.txqueuelen = change.txqueuelen;
  if (change.setFlags !== 0 || change.clearFlags !== 0)
    stack.kernel.dev_change_rx_flags(dev, change.setFlags, change.clearFlags);
  if (change.up === true) return links.up(dev);
  return change.up === false ? links.down(dev) : OK;
}

function macOf(word: string): Uint8Array {
  const mac = parseMac(word);
  if (mac === null) throw new IpError(255, `"${word}" is invalid lladdr.`);
  return mac;
}

function onOff(word: string, key: string): boolean {
  if (word !== 'on' && word !== 'off')
    throw new IpError(1, `Error: argument of "${key}" must be one of "on" or "off", not "${word}"`);
  return word === 'on';
}

// ---- add, delete ----

function add(words: Words, stack: NetStack): CommandResult {
  let lower = '';
  let name = '';
  let mac: Uint8Array | null = null;
  let mtuBytes = -1;
  let kind = '';
  while (!words.isEmpty && kind === '') {
    const word = words.next();
    if (word === 'link') lower = words.next();
    else if (word === 'address') mac = macOf(words.next());
    else if (word === 'mtu') mtuBytes = numberOf(words.next(), 'Invalid "mtu" value\n');
    else if (word === 'type') kind = words.next();
    else if (word === 'name' || word === 'dev') name = words.next();
    else if (name === '') name = word;
    else throw garbage('dev', word);
  }
  if (kind === '') return failed(255, 'Not enough information: "type" argument is required\n');
  const id = kind === 'vlan' ? vlanOptions(words) : -1;
  const below = lower === '' ? null : deviceOf(stack, lower);
  if (name !== '' && stack.links.byName(name) !== null) return answered(refuse(17));
  if (kind !== 'vlan') return answered(refuse(95, 'Unknown device type', 'link-kind'));
  if (below === null) return answered(refuse(22, '8021q: link not specified', 'vlan-link'));
  if (id < 0) return answered(refuse(22, '8021q: VLAN properties not specified', 'vlan-id'));
  const chosen = name === '' ? `${below.name}.${id}` : name;
  const answer = stack.links.addVlan(below, chosen, id, mac);
  if (answer.error !== 0 || mtuBytes < 0) return answered(answer);
  return answered(stack.links.setMtu(deviceOf(stack, chosen), mtuBytes));
}

function vlanOptions(words: Words): number {
  let id = -1;
  while (!words.isEmpty) {
    const word = words.next();
    if (word === 'id') {
      const text = words.next();
      id = /^\d+$/.test(text) && Number(text) < 65536 ? Number(text) : -1;
      if (id < 0) throw wrongArgument(text, 'id is invalid');
    } else if (word === 'protocol' || word === 'proto') {
      const protocol = words.next();
      if (protocol.toLowerCase() !== '802.1q')
        throw new IpError(2, 'RTNETLINK answers: Protocol not supported');
    } else throw new IpError(255, `vlan: unknown command "${word}"?`);
  }
  return id;
}

function remove(words: Words, stack: NetStack): CommandResult {
  let name = '';
  while (!words.isEmpty) {
    const word = words.next();
    if (word === 'type') {
      words.next();
      continue;
    }
    name = word === 'dev' || word === 'name' ? words.next() : word;
  }
  if (name === '') return failed(255, 'Not enough information: "dev" argument is required.\n');
  const dev = deviceOf(stack, name);
  for (const upper of stack.links.vlansOn(dev)) stack.links.remove(upper);
  return answered(stack.links.remove(dev));
}

// ---- show ----

function show(words: Words, stack: NetStack, options: IpOptions): CommandResult {
  let only: NetDevice | null = null;
  let upOnly = false;
  let vlanOnly = false;
  while (!words.isEmpty) {
    const word = words.next();
    if (word === 'up') upOnly = true;
    else if (word === 'type') vlanOnly = words.next() === 'vlan';
    else {
      const name = word === 'dev' ? words.next() : word;
      only = stack.links.byName(name);
      if (only === null) return failed(1, `Device "${name}" does not exist.\n`);
    }
  }
  const devices = stack.links
    .all()
    .filter((d) => (only === null || d === only) && (!upOnly || d.isUp))
    .filter((d) => !vlanOnly || stack.links.vlan(d) !== null);
  if (options.json) return ok(jsonText(devices.map((d) => linkJson(stack, d, options, true))));
  if (options.brief) return ok(devices.map((d) => briefLine(stack, d)).join(''));
  return ok(devices.map((d) => linkText(stack, d, options, true)).join(''));
}

function briefLine(stack: NetStack, dev: NetDevice): string {
  const name = shownName(stack, dev).padEnd(16);
  return `${name} ${operstate(dev).padEnd(14)} ${formatMac(dev.mac)} <${flagNames(stack, dev).join(',')}> \n`;
}

/** `eth0.100@eth0` for stacked devices. */
export function shownName(stack: NetStack, dev: NetDevice): string {
  const vlan = stack.links.vlan(dev);
  return vlan === null ? dev.name : `${dev.name}@${vlan.lower.name}`;
}

/** IFLA_OPERSTATE. */
export function operstate(dev: NetDevice): string {
  if ((dev.flags & IFF_LOOPBACK) !== 0) return dev.isUp ? 'UNKNOWN' : 'DOWN';
  return dev.isUp && dev.carrier ? 'UP' : 'DOWN';
}

function flagNames(stack: NetStack, dev: NetDevice): string[] {
  const names: string[] = [];
  if (dev.isUp && !dev.carrier) names.push('NO-CARRIER');
  const vlan = stack.links.vlan(dev);
  if ((dev.flags & IFF_LOOPBACK) !== 0) names.push('LOOPBACK');
  if ((dev.flags & IFF_BROADCAST) !== 0) names.push('BROADCAST');
  if ((dev.flags & IFF_MULTICAST) !== 0) names.push('MULTICAST');
  if ((dev.flags & IFF_ALLMULTI) !== 0) names.push('ALLMULTI');
  if ((dev.flags & IFF_PROMISC) !== 0) names.push('PROMISC');
  if (dev.isUp) names.push('UP');
  if (dev.isUp && dev.carrier) names.push('LOWER_UP');
  if (vlan !== null && !vlan.lower.isUp) names.push('M-DOWN');
  return names;
}

function qdisc(stack: NetStack, dev: NetDevice): string {
  if (!stack.links.everUp.has(dev.ifindex)) return 'noop';
  if ((dev.flags & IFF_LOOPBACK) !== 0 || stack.links.vlan(dev) !== null || dev.txqueuelen === 0)
    return 'noqueue';
  return dev.numTxQueues > 1 ? 'mq' : 'pfifo_fast';
}

function linkType(dev: NetDevice): string {
  return (dev.flags & IFF_LOOPBACK) !== 0 ? 'loopback' : 'ether';
}

function broadcastMac(dev: NetDevice): string {
  return (dev.flags & IFF_LOOPBACK) !== 0 ? '00:00:00:00:00:00' : 'ff:ff:ff:ff:ff:ff';
}

/** First line of a device in `ip link` (`mode` shown) and `ip addr`. */
export function linkLine(stack: NetStack, dev: NetDevice, mode: boolean): string {
  const qlen = dev.txqueuelen > 0 ? `qlen ${dev.txqueuelen}` : '';
  return (
    `${dev.ifindex}: ${shownName(stack, dev)}: <${flagNames(stack, dev).join(',')}> mtu ${dev.mtuBytes} ` +
    `qdisc ${qdisc(stack, dev)} state ${operstate(dev)} ${mode ? 'mode DEFAULT ' : ''}group default ${qlen}\n`
  );
}

/** A device as `ip link show` (with `mode`) or the head of `ip addr show` prints it. */
export function linkText(
  stack: NetStack,
  dev: NetDevice,
  options: IpOptions,
  mode: boolean,
): string {
  let text = linkLine(stack, dev, mode);
  text += `    link/${linkType(dev)} ${formatMac(dev.mac)} brd ${broadcastMac(dev)}`;
  if (options.details) text += detailText(stack, dev);
  text += '\n';
  return mode && options.stats ? text + statsText(stack, dev) : text;
}

const SEGMENTS =
  'gso_max_size 65536 gso_max_segs 65535 tso_max_size 65536 tso_max_segs 65535 gro_max_size 65536 ';
const LO_SEGMENTS = SEGMENTS.replace('tso_max_size 65536', 'tso_max_size 524280');

function detailText(stack: NetStack, dev: NetDevice): string {
  const vlan = stack.links.vlan(dev);
  const promisc = (dev.flags & IFF_PROMISC) !== 0 ? 1 : 0;
  const allmulti = (dev.flags & IFF_ALLMULTI) !== 0 ? 1 : 0;
  const max = linkType(dev) === 'loopback' ? 0 : dev.maxMtuBytes;
  const kind = vlan === null ? '' : `\n    vlan protocol 802.1Q id ${vlan.vlanId} <REORDER_HDR> `;
  return (
    ` promiscuity ${promisc}  allmulti ${allmulti} minmtu ${dev.minMtuBytes} maxmtu ${max} ${kind}` +
    `addrgenmode eui64 numtxqueues ${dev.numTxQueues} numrxqueues ${dev.numRxQueues} ` +
    (linkType(dev) === 'loopback' ? LO_SEGMENTS : SEGMENTS)
  );
}

/** The two pairs of lines of `-s`. */
export function statsText(stack: NetStack, dev: NetDevice): string {
  const s = stack.links.stats(dev);
  const rx = [s.rx_bytes, s.rx_packets, s.rx_errors, s.rx_dropped, s.rx_missed_errors, s.multicast];
  const tx = [s.tx_bytes, s.tx_packets, s.tx_errors, s.tx_dropped, 0, 0];
  const widths = [10, 7, 6, 7, 7, 7].map((w, i) =>
    Math.max(w, String(rx[i]).length, String(tx[i]).length),
  );
  return (
    columns('RX:', ['bytes', 'packets', 'errors', 'dropped', 'missed', 'mcast'], rx, widths) +
    columns('TX:', ['bytes', 'packets', 'errors', 'dropped', 'carrier', 'collsns'], tx, widths)
  );
}

function columns(
  title: string,
  names: readonly string[],
  values: readonly number[],
  widths: readonly number[],
): string {
  const head = names.map((n, i) => n.padStart(i === 0 ? widths[0] - 4 : widths[i])).join(' ');
  const line = values.map((v, i) => `${String(v).padStart(widths[i])} `).join('');
  return `    ${title} ${head}${' '.repeat(11)}\n    ${line}\n`;
}

/** A device as an element of `ip -j link show` (`mode`) or `ip -j addr show`. */
export function linkJson(
  stack: NetStack,
  dev: NetDevice,
  options: IpOptions,
  mode: boolean,
  addresses: unknown[] | null = null,
): Record<string, unknown> {
  const vlan = stack.links.vlan(dev);
  const out: Record<string, unknown> = { ifindex: dev.ifindex };
  if (vlan !== null) out['link'] = vlan.lower.name;
  out['ifname'] = dev.name;
  if (options.brief) {
    out['operstate'] = operstate(dev);
    if (addresses === null) out['address'] = formatMac(dev.mac);
    if (addresses === null) out['flags'] = flagNames(stack, dev);
    else out['addr_info'] = addresses;
    return out;
  }
  out['flags'] = flagNames(stack, dev);
  out['mtu'] = dev.mtuBytes;
  out['qdisc'] = qdisc(stack, dev);
  out['operstate'] = operstate(dev);
  if (mode) out['linkmode'] = 'DEFAULT';
  out['group'] = 'default';
  if (dev.txqueuelen > 0) out['txqlen'] = dev.txqueuelen;
  if (options.family === 0) {
    out['link_type'] = linkType(dev);
    out['address'] = formatMac(dev.mac);
    out['broadcast'] = broadcastMac(dev);
    if (options.details) Object.assign(out, detailJson(stack, dev));
  }
  if (addresses !== null) out['addr_info'] = addresses;
  if (options.stats) out['stats64'] = statsJson(stack, dev);
  return out;
}

function detailJson(stack: NetStack, dev: NetDevice): Record<string, unknown> {
  const vlan = stack.links.vlan(dev);
  const loopback = linkType(dev) === 'loopback';
  return {
    promiscuity: (dev.flags & IFF_PROMISC) !== 0 ? 1 : 0,
    allmulti: (dev.flags & IFF_ALLMULTI) !== 0 ? 1 : 0,
    min_mtu: dev.minMtuBytes,
    max_mtu: loopback ? 0 : dev.maxMtuBytes,
    ...(vlan === null
      ? {}
      : {
          linkinfo: {
            info_kind: 'vlan',
            info_data: { protocol: '802.1Q', id: vlan.vlanId, flags: ['REORDER_HDR'] },
          },
        }),
    inet6_addr_gen_mode: 'eui64',
    num_tx_queues: dev.numTxQueues,
    num_rx_queues: dev.numRxQueues,
    gso_max_size: 65536,
    gso_max_segs: 65535,
    tso_max_size: loopback ? 524280 : 65536,
    tso_max_segs: 65535,
    gro_max_size: 65536,
  };
}

function statsJson(stack: NetStack, dev: NetDevice): Record<string, unknown> {
  const s = stack.links.stats(dev);
  return {
    rx: {
      bytes: s.rx_bytes,
      packets: s.rx_packets,
      errors: s.rx_errors,
      dropped: s.rx_dropped,
      over_errors: 0,
      multicast: s.multicast,
    },
    tx: {
      bytes: s.tx_bytes,
      packets: s.tx_packets,
      errors: s.tx_errors,
      dropped: s.tx_dropped,
      carrier_errors: 0,
      collisions: 0,
    },
  };
}
