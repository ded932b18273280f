// `ip link add` of iproute2 6.1: VLAN devices, veth pairs, bridges, flow-based tunnels (ip-link-tunnel.ts). Other kinds are refused as by a
// kernel without them.

import { EEXIST, EINVAL, EOPNOTSUPP } from '../../../driver/errno.ts';
import type { NetDevice } from '../../../driver/netdev.ts';
import { OK, refuse } from '../../stack/answer.ts';
import type { Answer } from '../../stack/answer.ts';
import { Bridge } from '../../stack/bridge/bridge.ts';
import { parseMac } from '../../stack/ip/address.ts';
import { Namespaces } from '../../stack/namespaces.ts';
import type { NetStack } from '../../stack/net-stack.ts';
import { Tunnels } from '../../stack/lwtunnel/tunnels.ts';
import { VethPair } from '../../stack/veth.ts';
import { failed } from './command.ts';
import type { CommandResult } from './command.ts';
import { IpError, answered, deviceOf, garbage, numberOf, wrongArgument } from './ip-common.ts';
import type { Words } from './ip-common.ts';
import { TUNNEL_KINDS } from './ip-link-tunnel.ts';

/** What a new device is to be like, as far as all kinds have it. */
interface NewLink {
  lower: string;
  name: string;
  mac: Uint8Array | null;
  mtuBytes: number;
  kind: string;
  /** Namespace to put it in. */
  stack: NetStack;
}

/** IFNAMSIZ without the byte that ends it. */
const NAME_LENGTH_MAX = 15;
const VLAN_ID_MAX = 4094;
/** The unit of ageing_time. */
const PS_PER_CENTISECOND = 1e10;

/** `ip link add [link LOWER] [name] NAME ... type KIND [options]`. */
export function add(words: Words, stack: NetStack): CommandResult {
  const link = readLink(words, stack, ['type']);
  if (link.kind === '') return failed(255, 'Not enough information: "type" argument is required\n');
  if (link.kind === 'veth') return addVeth(words, stack, link);
  if (link.kind === 'bridge') return addBridge(words, link);
  if (link.kind in TUNNEL_KINDS) return addTunnel(words, link);
  const id = link.kind === 'vlan' ? vlanOptions(words) : -1;
  const below = link.lower === '' ? null : deviceOf(stack, link.lower);
  if (link.name !== '' && link.stack.links.byName(link.name) !== null)
    return answered(refuse(EEXIST));
  if (link.kind === 'tun')
    return answered(
      refuse(EOPNOTSUPP, 'tun/tap creation via rtnetlink is not supported.', 'link-kind'),
    );
  if (link.kind !== 'vlan') return answered(refuse(EOPNOTSUPP, 'Unknown device type', 'link-kind'));
  if (below === null) return answered(refuse(EINVAL, '8021q: link not specified', 'vlan-link'));
  if (id < 0) return answered(refuse(EINVAL, '8021q: VLAN properties not specified', 'vlan-id'));
  const chosen = link.name === '' ? `${below.name}.${id}` : link.name;
  const answer = stack.links.addVlan(below, chosen, id, link.mac);
  if (answer.error !== 0) return answered(answer);
  return answered(finish(stack, deviceOf(stack, chosen), link));
}

/** MTU and namespace of a device that was made. */
function finish(stack: NetStack, dev: NetDevice, link: NewLink): Answer {
  const answer = link.mtuBytes < 0 ? OK : stack.links.setMtu(dev, link.mtuBytes);
  if (answer.error !== 0 || link.stack === stack) return answer;
  return Namespaces.of(stack).move(dev, link.stack);
}

/** Reads the words that all kinds have, up to `type KIND` or the end. */
function readLink(words: Words, stack: NetStack, ends: readonly string[]): NewLink {
  const link: NewLink = { lower: '', name: '', mac: null, mtuBytes: -1, kind: '', stack };
  while (!words.isEmpty && link.kind === '') {
    const word = words.next();
    if (word === 'link') link.lower = words.next();
    else if (word === 'address') link.mac = macOf(words.next());
    else if (word === 'mtu') link.mtuBytes = numberOf(words.next(), 'Invalid "mtu" value\n');
    else if (word === 'netns') link.stack = netnsOf(stack, words.next());
    else if (ends.includes(word)) link.kind = words.next();
    else if (word === 'name' || word === 'dev') link.name = words.next();
    else if (link.name === '') link.name = word;
    else throw garbage('dev', word);
  }
  if (link.name.length > NAME_LENGTH_MAX)
    throw new IpError(255, `Error: argument "${link.name}" is wrong: "name" not a valid ifname`);
  return link;
}

/** The namespace behind the word after `netns`. */
export function netnsOf(stack: NetStack, word: string): NetStack {
  const all = Namespaces.of(stack);
  // A process id stands for its namespace; 1 is init, in the initial one.
  const found = word === '1' ? all.init : all.find(word);
  if (found === null) throw wrongArgument(word, 'Invalid "netns" value\n');
  return found;
}

/** A MAC address of the command line. */
export function macOf(word: string): Uint8Array {
  const mac = parseMac(word);
  if (mac === null) throw new IpError(255, `"${word}" is invalid lladdr.`);
  return mac;
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

/** `type bridge [vlan_filtering 0|1] [ageing_time N] [vlan_default_pvid N]`. */
function addBridge(words: Words, link: NewLink): CommandResult {
  const { stack } = link;
  const options = bridgeOptions(words);
  const all = Namespaces.of(stack);
  const made = stack.bridges.add(link.name || 'bridge%d', link.mac, all.nextMac());
  if (!(made instanceof Bridge)) return answered(made);
  setBridge(made, options);
  return answered(link.mtuBytes < 0 ? OK : stack.links.setMtu(made.dev, link.mtuBytes));
}

/** `type vxlan|geneve|gretap ... external`. */
function addTunnel(words: Words, link: NewLink): CommandResult {
  const { stack } = link;
  const { make, warning } = TUNNEL_KINDS[link.kind](words);
  const name = link.name || `${link.kind}%d`;
  const answer = make(Tunnels.of(stack), name, link.mac ?? Namespaces.of(stack).nextMac());
  if (answer.error !== 0) return answered(answer);
  const dev = stack.links.all().at(-1) as NetDevice;
  const made = answered(link.mtuBytes < 0 ? OK : stack.links.setMtu(dev, link.mtuBytes));
  return { ...made, stderr: warning + made.stderr };
}

/** Options of a bridge by name, with the largest value that the tool takes. */
const BRIDGE_OPTIONS = new Map([
  ['vlan_filtering', 0xff],
  ['ageing_time', 0xffffffff],
  ['vlan_default_pvid', 0xffff],
]);

export function bridgeOptions(words: Words): Map<string, number> {
  const options = new Map<string, number>();
  while (!words.isEmpty) {
    const word = words.next();
    const max = BRIDGE_OPTIONS.get(word);
    if (max === undefined) throw new IpError(255, `bridge: unknown command "${word}"?`);
    options.set(word, numberOf(words.next(), `invalid ${word}`, max));
  }
  const pvid = options.get('vlan_default_pvid') ?? 0;
  if (pvid > VLAN_ID_MAX) throw new IpError(2, 'RTNETLINK answers: Invalid argument');
  return options;
}

/** Sets what was given; the rest stays. */
export function setBridge(bridge: Bridge, options: Map<string, number>): void {
  const ageing = options.get('ageing_time');
  if (ageing !== undefined) bridge.fdb.ageingPs = ageing * PS_PER_CENTISECOND;
  const pvid = options.get('vlan_default_pvid');
  if (pvid !== undefined) bridge.setDefaultPvid(pvid);
  const filtering = options.get('vlan_filtering');
  if (filtering !== undefined) bridge.setVlanFiltering(filtering !== 0);
}

/** `type veth [peer [name] NAME ...]`: both devices, or none. */
function addVeth(words: Words, stack: NetStack, link: NewLink): CommandResult {
  let peer: NewLink = { ...link, name: '', mac: null, mtuBytes: -1 };
  if (!words.isEmpty) {
    const word = words.next();
    if (word !== 'peer')
      throw new IpError(
        255,
        `veth: unknown option "${word}"?\nUsage: ip link <options> type veth [peer <options>]\nTo get <options> type 'ip link add help'`,
      );
    peer = readLink(words, stack, []);
  }
  const pair = new VethPair(stack.kernel, [link.name || 'veth%d', peer.name || 'veth%d']);
  const all = Namespaces.of(stack);
  for (const [index, one] of [link, peer].entries())
    pair.dev(index).mac.set(one.mac ?? all.nextMac());
  const error = pair.register([link.stack.links, peer.stack.links]);
  if (error !== 0) return answered({ error, message: '', reason: 'link-name' });
  all.acquaint(pair.dev(0), pair.dev(1));
  for (const [index, one] of [link, peer].entries()) {
    if (one.mtuBytes < 0) continue;
    const answer = one.stack.links.setMtu(pair.dev(index), one.mtuBytes);
    if (answer.error !== 0) return answered(answer);
  }
  return answered(OK);
}
