// How `ip link` and the head of `ip addr` show a device: text, -d, -s, -br and JSON, as iproute2 6.1 prints them (recorded).

import type { NetDevice } from '../../../driver/netdev.ts';
import {
  IFF_ALLMULTI,
  IFF_BROADCAST,
  IFF_LOOPBACK,
  IFF_MULTICAST,
  IFF_NOARP,
  IFF_POINTOPOINT,
  IFF_PROMISC,
} from '../../../driver/netdev.ts';
import { portJson, portText } from '../../stack/bridge/bridge-link.ts';
import { formatMac } from '../../stack/ip/address.ts';
import type { NetStack } from '../../stack/net-stack.ts';
import type { IpOptions } from './ip-common.ts';

/** A line of `ip -br link`. */
export function briefLine(stack: NetStack, dev: NetDevice): string {
  const name = shownName(stack, dev).padEnd(16);
  return `${name} ${operstate(stack, dev).padEnd(14)} ${formatMac(dev.mac)} <${flagNames(stack, dev).join(',')}> \n`;
}

/** `eth0.100@eth0` for stacked devices. */
export function shownName(stack: NetStack, dev: NetDevice): string {
  const below = linkOf(stack, dev);
  if (below === null) return stack.links.kind(dev)?.noLink === true ? `${dev.name}@NONE` : dev.name;
  return `${dev.name}@${below.net === dev.net ? below.name : `if${below.ifindex}`}`;
}

/** `master br0 ` of a bridge port. */
function master(stack: NetStack, dev: NetDevice): string {
  const port = stack.bridges.portOf(dev);
  return port === null ? '' : `master ${port.bridge.dev.name} `;
}

/** IFLA_LINK: the device below, or at the other end of a pair; null for none. */
export function linkOf(stack: NetStack, dev: NetDevice): NetDevice | null {
  return stack.links.vlan(dev)?.lower ?? stack.links.kind(dev)?.peer?.() ?? null;
}

/** The namespace of that device where it is another one: its name if it has one, and the id by which this one knows it. */
function linkNamespace(stack: NetStack, dev: NetDevice): { name: string; id: number } | null {
  const below = linkOf(stack, dev);
  if (below === null || below.net === dev.net || stack.namespaces === null) return null;
  const other = stack.namespaces.stackOf(below);
  return { name: stack.namespaces.nameOf(other), id: stack.namespaces.idOf(stack, other) };
}

/** IFLA_OPERSTATE. */
export function operstate(stack: NetStack, dev: NetDevice): string {
  // A device that knows no more than its carrier (lo, tun) does not say that it is up.
  const isSimple =
    (dev.flags & IFF_LOOPBACK) !== 0 ||
    !dev.reportsCarrier ||
    stack.links.kind(dev)?.kind === 'tun';
  if (isSimple && dev.carrier) return dev.isUp ? 'UNKNOWN' : 'DOWN';
  const below = linkOf(stack, dev);
  if (dev.isUp && !dev.carrier && below !== null && below.net === dev.net && !below.carrier)
    return 'LOWERLAYERDOWN';
  return dev.isUp && dev.carrier ? 'UP' : 'DOWN';
}

/** Flags as the tools name them. */
export function flagNames(stack: NetStack, dev: NetDevice): string[] {
  const names: string[] = [];
  if (dev.isUp && !dev.carrier) names.push('NO-CARRIER');
  const below = linkOf(stack, dev);
  if ((dev.flags & IFF_LOOPBACK) !== 0) names.push('LOOPBACK');
  if ((dev.flags & IFF_BROADCAST) !== 0) names.push('BROADCAST');
  if ((dev.flags & IFF_POINTOPOINT) !== 0) names.push('POINTOPOINT');
  if ((dev.flags & IFF_MULTICAST) !== 0) names.push('MULTICAST');
  if ((dev.flags & IFF_NOARP) !== 0) names.push('NOARP');
  if ((dev.flags & IFF_ALLMULTI) !== 0) names.push('ALLMULTI');
  // A bridge makes its ports promiscuous; only what a user asked for shows.
  if ((dev.flags & (stack.bridges.portOf(dev)?.wasPromisc ?? IFF_PROMISC) & IFF_PROMISC) !== 0)
    names.push('PROMISC');
  if (dev.isUp) names.push('UP');
  if (dev.isUp && dev.carrier) names.push('LOWER_UP');
  if (below !== null && below.net === dev.net && !below.isUp) names.push('M-DOWN');
  return names;
}

function qdisc(stack: NetStack, dev: NetDevice): string {
  if (!stack.links.everUp.has(dev.ifindex)) return 'noop';
  const isVirtual = stack.links.vlan(dev) !== null || dev.noQueue;
  if ((dev.flags & IFF_LOOPBACK) !== 0 || isVirtual || dev.txqueuelen === 0) return 'noqueue';
  return dev.numTxQueues > 1 ? 'mq' : 'pfifo_fast';
}

function linkType(stack: NetStack, dev: NetDevice): string {
  const kind = stack.links.kind(dev);
  if (kind !== null) return kind.linkType;
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
    `qdisc ${qdisc(stack, dev)} ${master(stack, dev)}state ${operstate(stack, dev)} ${mode ? 'mode DEFAULT ' : ''}group default ${qlen}\n`
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
  const type = linkType(stack, dev);
  text += `    link/${type} `;
  if (type !== 'none') text += `${formatMac(dev.mac)} brd ${broadcastMac(dev)}`;
  const other = linkNamespace(stack, dev);
  if (other !== null)
    text += other.name === '' ? ` link-netnsid ${other.id}` : ` link-netns ${other.name}`;
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
  const max = linkType(stack, dev) === 'loopback' ? 0 : dev.maxMtuBytes;
  const own = stack.links.kind(dev);
  const kind =
    own !== null
      ? `\n    ${own.text()}`
      : vlan === null
        ? ''
        : `\n    vlan protocol 802.1Q id ${vlan.vlanId} <REORDER_HDR> `;
  const port = stack.bridges.portOf(dev);
  const slave = port === null ? '' : `\n    ${portText(port)}`;
  return (
    ` promiscuity ${promisc}  allmulti ${allmulti} minmtu ${dev.minMtuBytes} maxmtu ${max} ${kind}${slave}` +
    `addrgenmode ${addrGenMode(stack, dev)} numtxqueues ${dev.numTxQueues} numrxqueues ${dev.numRxQueues} ` +
    (linkType(stack, dev) === 'loopback' ? LO_SEGMENTS : SEGMENTS) +
    identityText(dev)
  );
}

/** What devlink and the bus say of a device. */
function identityText({ identity }: NetDevice): string {
  if (identity === null) return '';
  const { physPortName, physSwitchId, parentBus, parentDev } = identity;
  return `portname ${physPortName} switchid ${physSwitchId} parentbus ${parentBus} parentdev ${parentDev} `;
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
  const below = linkOf(stack, dev);
  const out: Record<string, unknown> = { ifindex: dev.ifindex };
  if (below !== null && below.net === dev.net) out['link'] = below.name;
  else if (below !== null) out['link_index'] = below.ifindex;
  else if (stack.links.kind(dev)?.noLink === true) out['link'] = null;
  out['ifname'] = dev.name;
  if (options.brief) {
    out['operstate'] = operstate(stack, dev);
    if (addresses === null) out['address'] = formatMac(dev.mac);
    if (addresses === null) out['flags'] = flagNames(stack, dev);
    else out['addr_info'] = addresses;
    return out;
  }
  out['flags'] = flagNames(stack, dev);
  out['mtu'] = dev.mtuBytes;
  out['qdisc'] = qdisc(stack, dev);
  const port = stack.bridges.portOf(dev);
  if (port !== null) out['master'] = port.bridge.dev.name;
  out['operstate'] = operstate(stack, dev);
  if (mode) out['linkmode'] = 'DEFAULT';
  out['group'] = 'default';
  if (dev.txqueuelen > 0) out['txqlen'] = dev.txqueuelen;
  if (options.family === 0) {
    out['link_type'] = linkType(stack, dev);
    if (linkType(stack, dev) !== 'none') {
      out['address'] = formatMac(dev.mac);
      out['broadcast'] = broadcastMac(dev);
    }
    const other = linkNamespace(stack, dev);
    if (other !== null) out['link_netnsid'] = other.id;
    if (options.details) Object.assign(out, detailJson(stack, dev));
  }
  if (addresses !== null) out['addr_info'] = addresses;
  if (options.stats) out['stats64'] = statsJson(stack, dev);
  // Virtual functions, of which a device on a bus of its own (netdevsim) could have some.
  if (options.details && mode && dev.identity !== null) out['vfinfo_list'] = [];
  return out;
}

function detailJson(stack: NetStack, dev: NetDevice): Record<string, unknown> {
  const loopback = linkType(stack, dev) === 'loopback';
  return {
    promiscuity: (dev.flags & IFF_PROMISC) !== 0 ? 1 : 0,
    allmulti: (dev.flags & IFF_ALLMULTI) !== 0 ? 1 : 0,
    min_mtu: dev.minMtuBytes,
    max_mtu: loopback ? 0 : dev.maxMtuBytes,
    ...linkInfo(stack, dev),
    inet6_addr_gen_mode: addrGenMode(stack, dev),
    num_tx_queues: dev.numTxQueues,
    num_rx_queues: dev.numRxQueues,
    gso_max_size: 65536,
    gso_max_segs: 65535,
    tso_max_size: loopback ? 524280 : 65536,
    tso_max_segs: 65535,
    gro_max_size: 65536,
    ...identityJson(dev),
  };
}

function identityJson({ identity }: NetDevice): Record<string, unknown> {
  if (identity === null) return {};
  return {
    phys_port_name: identity.physPortName,
    phys_switch_id: identity.physSwitchId,
    parentbus: identity.parentBus,
    parentdev: identity.parentDev,
  };
}

const ADDR_GEN_MODES = ['eui64', 'none', 'stable_secret', 'random'];

function addrGenMode(stack: NetStack, dev: NetDevice): string {
  return ADDR_GEN_MODES[stack.links.conf(dev).addrGenMode] ?? 'eui64';
}

function linkInfo(stack: NetStack, dev: NetDevice): Record<string, unknown> {
  const kind = stack.links.kind(dev);
  const vlan = stack.links.vlan(dev);
  const port = stack.bridges.portOf(dev);
  const info: Record<string, unknown> = {};
  const data =
    vlan === null
      ? (kind?.json() ?? null)
      : { protocol: '802.1Q', id: vlan.vlanId, flags: ['REORDER_HDR'] };
  if (kind !== null || vlan !== null) info['info_kind'] = kind?.kind ?? 'vlan';
  if (data !== null) info['info_data'] = data;
  if (port !== null) {
    info['info_slave_kind'] = 'bridge';
    info['info_slave_data'] = portJson(port);
  }
  return Object.keys(info).length === 0 ? {} : { linkinfo: info };
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
