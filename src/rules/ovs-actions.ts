// Actions of OVS datapath flows into neutral ones (odp-util's text form).
//
// In the datapath an output is a copy, and a packet is gone when the list ends. So the last output is `output`, earlier ones
// are `mirror`, and a list that ends otherwise ends in `drop`. recirc and userspace must come last.
// Not here: clone, trunc, check_pkt_len, hash, lb_output, tnl_push, tnl_pop, push_eth, samples with other actions than psample.

import { parseCtAction } from './ovs-ct.ts';
import type { OvsCursor } from './ovs-cursor.ts';
import { parseFlags } from './ovs-cursor.ts';
import { OVS_GROUPS, OVS_TUNNEL_FLAGS } from './ovs-keys.ts';
import { ETH_MPLS_UC, ETH_VLAN } from './names.ts';
import type { Action, FieldName, Place, TunnelHeader } from './rule.ts';
import { formatIp, parseIp } from './values.ts';

const EXPECTED = `an action: a port, drop, set(...), push_vlan(...), pop_vlan, push_mpls(...), pop_mpls(...), ct(...), ct_clear, meter(N), dec_ttl, sample(...), recirc(N) or userspace(...)`;

/** Up to the end of the text, or of a quoted word. */
export function parseOvsActions(cursor: OvsCursor): Action[] {
  const actions: Action[] = [];
  const start = cursor.at;
  if (cursor.match(/drop(?![\w-])/) !== '') return [{ kind: 'drop', at: start }];
  do {
    cursor.skipBlanks();
    const last = actions.at(-1);
    if (last?.kind === 'goto' || last?.kind === 'trap')
      cursor.failAt(last.at, 'recirc and userspace as the last action', 'more after it');
    parseAction(cursor, actions);
  } while (cursor.takeIf(','));
  const last = actions[actions.length - 1];
  if (last.kind === 'mirror')
    actions[actions.length - 1] = { kind: 'output', port: last.port, at: last.at };
  else if (last.kind !== 'goto' && last.kind !== 'trap') actions.push({ kind: 'drop', at: start });
  return actions;
}

function parseAction(cursor: OvsCursor, into: Action[]): void {
  const at = cursor.at;
  const from = cursor.pos;
  const name = cursor.match(/[\w.@-]+/);
  if (name === '') cursor.fail(EXPECTED);
  const parse = Object.hasOwn(PARSERS, name) ? PARSERS[name] : undefined;
  if (parse !== undefined) {
    parse(cursor, into, at);
    return;
  }
  if (cursor.looksAt('(') || cursor.looksAt('=')) {
    cursor.pos = from;
    cursor.fail(EXPECTED);
  }
  into.push({ kind: 'mirror', port: name, at });
}

type Parse = (cursor: OvsCursor, into: Action[], at: Place) => void;

const PARSERS: Record<string, Parse> = {
  pop_vlan: (_cursor, into, at) => into.push({ kind: 'pop_vlan', at }),
  ct_clear: (_cursor, into, at) => into.push({ ...parseCtAction(null, at), clear: true }),
  ct: (cursor, into, at) => into.push(parseCtAction(cursor, at)),
  dec_ttl: (cursor, into, at) => {
    if (cursor.takeIf('(')) cursor.nested();
    into.push({ kind: 'dec_ttl', at });
  },
  meter: (cursor, into, at) => into.push({ kind: 'meter', id: inParens(cursor), at }),
  recirc: (cursor, into, at) => into.push({ kind: 'goto', group: inParens(cursor), at }),
  userspace: (cursor, into, at) => {
    cursor.expect('(');
    const detail = cursor.nested();
    into.push({ kind: 'trap', detail: detail === 'pid=0' ? '' : detail, at });
  },
  push_vlan: (cursor, into, at) => {
    const tag = namedNumbers(cursor, { tpid: 0xffff, vid: 4095, pcp: 7, cfi: 1 });
    const tpid = tag['tpid'] ?? ETH_VLAN;
    const id = tag['vid'] ?? -1;
    if (id < 0 || tag['cfi'] === 0)
      cursor.failAt(at, 'vid= and no cfi=0 in push_vlan', 'other arguments');
    into.push({ kind: 'push_vlan', tpid, id, pcp: tag['pcp'] ?? 0, at });
  },
  push_mpls: (cursor, into, at) => {
    const found = namedNumbers(cursor, {
      label: 0xfffff,
      tc: 7,
      ttl: 255,
      bos: 1,
      eth_type: 0xffff,
    });
    const { label = 0, tc = 0, ttl = 0, bos = 0 } = found;
    const tpid = found['eth_type'] ?? ETH_MPLS_UC;
    into.push({ kind: 'push_mpls', tpid, label, tc, ttl, bos, at });
  },
  pop_mpls: (cursor, into, at) => {
    const found = namedNumbers(cursor, { eth_type: 0xffff });
    into.push({ kind: 'pop_mpls', tpid: found['eth_type'] ?? 0, at });
  },
  sample: parseSample,
  set: parseSet,
};

function inParens(cursor: OvsCursor): number {
  cursor.expect('(');
  const value = cursor.number(0xffffffff);
  cursor.expect(')');
  return value;
}

/** `(name=NUMBER,...)` with the highest value of each name. */
function namedNumbers(
  cursor: OvsCursor,
  limits: Record<string, number>,
): Record<string, number | undefined> {
  const found: Record<string, number | undefined> = {};
  const names = Object.keys(limits).join('=, ');
  cursor.expect('(');
  do {
    const from = cursor.pos;
    const name = cursor.name(`${names}=`);
    if (!Object.hasOwn(limits, name)) {
      cursor.pos = from;
      cursor.fail(`${names}=`);
    }
    cursor.expect('=');
    found[name] = cursor.number(limits[name]);
  } while (cursor.takeIf(','));
  cursor.expect(')');
  return found;
}

/** `sample(sample=P%,actions(psample(group=N)))` where P per cent is one packet in a whole number. */
function parseSample(cursor: OvsCursor, into: Action[], at: Place): void {
  cursor.expect('(sample=');
  const percent = cursor.takeAs('a percentage of one in a whole number of packets', (text) => {
    const value = /^([0-9]+(?:\.[0-9]+)?)%$/.exec(text);
    const rate = value === null ? 0 : 100 / Number(value[1]);
    return Number.isInteger(Math.round(rate * 1e6) / 1e6) && rate >= 1 ? Math.round(rate) : null;
  });
  cursor.expect(',actions(psample(group=');
  const group = cursor.number(0xffffffff);
  cursor.expect(')))');
  into.push({ kind: 'sample', rate: percent, group, truncBytes: 0, at });
}

/** `set(KEY(...))`: a tunnel header, a mark, or fields of one header. */
function parseSet(cursor: OvsCursor, into: Action[], at: Place): void {
  cursor.expect('(');
  const from = cursor.pos;
  const name = cursor.name('a key to set');
  const group = OVS_GROUPS.find((one) => one.key === name);
  cursor.expect('(');
  if (name === 'tunnel') into.push({ kind: 'encap', tunnel: parseTunnel(cursor), at });
  else if (name === 'skb_mark') {
    const { value, mask } = cursor.masked('skb_mark', 'hex');
    into.push({ kind: 'mark', value: (value[0] & mask[0]) >>> 0, mask: mask[0], at });
  } else if (name === 'skb_priority') {
    pushSet(into, 'skb_priority', cursor.masked('skb_priority', 'hex'), at);
  } else if (group !== undefined) {
    const names = group.parts.map((one) => `${one.name}=`).join(', ');
    do {
      const place = cursor.at;
      const part = group.parts.find((one) => one.name !== 'frag' && cursor.takeIf(`${one.name}=`));
      if (part === undefined) cursor.fail(names);
      pushSet(into, part.field, cursor.masked(part.field, part.form), place);
    } while (cursor.takeIf(','));
  } else {
    cursor.pos = from;
    cursor.fail('eth, ipv4, ipv6, tcp, udp, sctp, icmp, arp, nd, mpls, tunnel or skb_mark');
  }
  cursor.expect('))');
}

function pushSet(
  into: Action[],
  field: FieldName,
  masked: { value: number[]; mask: number[] },
  at: Place,
): void {
  const value = masked.value.map((word, index) => (word & masked.mask[index]) >>> 0);
  into.push({ kind: 'set_field', field, value, mask: masked.mask, at });
}

function parseTunnel(cursor: OvsCursor): TunnelHeader {
  const tunnel: TunnelHeader = {
    id: null,
    src: '',
    dst: '',
    dstPort: null,
    tos: null,
    ttl: null,
    checksum: false,
    dontFragment: false,
  };
  do {
    if (cursor.takeIf('tun_id=')) tunnel.id = cursor.number(Number.MAX_SAFE_INTEGER);
    else if (cursor.match(/(ipv6_)?src=/) !== '') tunnel.src = address(cursor);
    else if (cursor.match(/(ipv6_)?dst=/) !== '') tunnel.dst = address(cursor);
    else if (cursor.takeIf('tos=')) tunnel.tos = cursor.number(255);
    else if (cursor.takeIf('ttl=')) tunnel.ttl = cursor.number(255);
    else if (cursor.takeIf('tp_dst=')) tunnel.dstPort = cursor.number(0xffff);
    else if (cursor.takeIf('flags(')) {
      const flags = cursor.takeAs('flags as in df|csum|key', (text) =>
        text === '' ? { value: 0, mask: 15 } : parseFlags(text, OVS_TUNNEL_FLAGS, 4),
      );
      cursor.expect(')');
      tunnel.dontFragment = (flags.value & 1) === 1;
      tunnel.checksum = (flags.value & 2) === 2;
      // The key flag without tun_id is an id of 0.
      if ((flags.value & 4) === 4) tunnel.id ??= 0;
    } else cursor.fail('tun_id=, src=, dst=, tos=, ttl=, tp_dst= or flags(');
  } while (cursor.takeIf(','));
  if (tunnel.dst === '') cursor.fail('dst=');
  return tunnel;
}

function address(cursor: OvsCursor): string {
  return cursor.takeAs('an address', (text) => {
    const found = parseIp(text);
    return found === null ? null : formatIp(found.words);
  });
}
