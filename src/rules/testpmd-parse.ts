// testpmd's `flow create PORT ... pattern ... / end actions ... / end` into neutral rules.
//
// `is` compares all bits; `spec` alone does too; `mask` and `prefix` narrow it; `last` makes a range. Fields are collected per
// item and become matches when the item ends. `eth type` and `vlan inner_type` name the type of what follows: a tag's type
// when a vlan item follows. An outer header run that ends in vxlan or geneve becomes tun_ fields, the UDP port of
// the tunnel among them. Priorities: lower wins, 0 when none is given.
// Not here: `transfer` domains as such (read as ingress), egress groups' templates, indirect actions.

import { RuleDraft } from './draft.ts';
import { ETH_QINQ, ETH_VLAN } from './names.ts';
import { FIELD_BITS, fullMask } from './rule.ts';
import type { FieldMatch, FieldName, Place, Rule } from './rule.ts';
import { parseUnsigned, Words } from './scan.ts';
import type { LogicalLine } from './scan.ts';
import { parseTestpmdActions } from './testpmd-actions.ts';
import {
  FRAGMENT_MASK,
  ITEMS,
  META_ITEMS,
  OUTER_FIELDS,
  SECOND_TAG,
  TUNNEL_ITEMS,
} from './testpmd-items.ts';
import type { Item } from './testpmd-items.ts';
import { exact, exactValue, isFull, isZero, parseIp, parseMacWords } from './values.ts';
import { parsePrefix, parseWide } from './values.ts';

/** The rule of a line, null for `flow` commands that create none. Throws RuleSyntaxError. */
export function readTestpmd(file: string, line: LogicalLine): Rule | null {
  const words = new Words(file, line);
  words.takeIf('testpmd>');
  words.takeOneOf('flow');
  words.takeOneOf('create', 'validate');
  const draft = new RuleDraft(file, 'testpmd');
  draft.device = String(words.takeNumber(0, 0xffff));
  for (;;) {
    if (words.takeIf('ingress', 'transfer') !== '') draft.direction = 'ingress';
    else if (words.takeIf('egress') !== '') draft.direction = 'egress';
    else if (words.takeIf('group') !== '') draft.group = words.takeNumber(0, 0xffffffff);
    else if (words.takeIf('priority') !== '') {
      draft.priority = words.takeNumber(0, 0xffffffff);
      draft.priorityGiven = true;
    } else break;
  }
  if (words.takeIf('pattern') === '')
    words.fail('group, priority, ingress, egress, transfer or pattern');
  new PatternReader(words, draft).read();
  words.takeOneOf('actions');
  draft.actions = parseTestpmdActions(words);
  if (!words.done) words.fail('the end of the rule');
  return draft.build(line.line, line.text);
}

interface Spec {
  value: number[] | null;
  mask: number[] | null;
  last: number[] | null;
  at: Place;
}

/** Reads items up to `end`. Holds the matches of the headers so far until it is known whether they are a tunnel's. */
class PatternReader {
  private readonly words: Words;
  private readonly draft: RuleDraft;
  private matches: FieldMatch[] = [];
  /** Matches of the tunnel's headers, once its item was read. */
  private outer: FieldMatch[] = [];
  private tags = 0;
  /** Type named by `eth type` or `inner_type` for the next header. */
  private nextType: FieldMatch | null = null;

  constructor(words: Words, draft: RuleDraft) {
    this.words = words;
    this.draft = draft;
  }

  read(): void {
    const { words } = this;
    for (;;) {
      const at = words.at;
      if (words.takeIf('end') !== '') break;
      const known = [...ITEMS, ...META_ITEMS];
      const item = known.find((one) => one.name === words.peek());
      const tunnel = TUNNEL_ITEMS.find((one) => one.name === words.peek());
      if (item !== undefined) this.readItem(item, at);
      else if (tunnel !== undefined) this.readTunnel(tunnel, at);
      else if (words.takeIf('void', 'any') === '')
        words.fail(`a pattern item (${known.map((one) => one.name).join(', ')}, vxlan, geneve)`);
      words.takeOneOf('/');
    }
    this.flushType();
    for (const match of [...this.outer, ...this.matches]) this.draft.add(match);
  }

  private readItem(item: Item, at: Place): void {
    const { words } = this;
    words.take(item.name);
    this.arrive(item, at);
    const specs = new Map<FieldName, Spec>();
    while (words.peek() !== '/') {
      const place = words.at;
      const name = words.peek();
      const known = item.fields.find((one) => one.name === name);
      if (item.name === 'vlan' && name === 'tci') this.readTci(specs);
      else if (known === undefined) {
        const all = item.fields.map((one) => one.name).join(', ');
        words.fail(`/ or a field of ${item.name}${all === '' ? '' : ` (${all})`}`);
      } else {
        words.take(name);
        readSpec(words, known.field, specs, place);
      }
    }
    for (const [field, spec] of specs) this.addSpec(field, spec);
  }

  /** What an item's presence says, given the type named before it. */
  private arrive(item: Item, at: Place): void {
    const tag = item.name === 'vlan';
    if (tag) this.tags++;
    if (this.tags > 2) this.words.failAt(at, 'at most two vlan items', 'another one');
    for (const { field, value } of item.implies) {
      if (tag) this.push(this.named(field, this.takeTagType(value), at));
      else if (field === 'eth_type') this.addType(value, at);
      else this.addImplied(field, value, at);
    }
  }

  private takeTagType(dflt: number): number {
    const named = exactValue(this.nextType);
    if (this.nextType !== null && named !== ETH_VLAN && named !== ETH_QINQ)
      this.words.failAt(this.nextType.at, 'type 0x8100 or 0x88a8 before vlan', 'another type');
    this.nextType = null;
    return named < 0 ? dflt : named;
  }

  private named(field: FieldName, value: number, at: Place): FieldMatch {
    return exact(this.tags > 1 ? (SECOND_TAG[field] ?? field) : field, value, at);
  }

  /** An EtherType that an item implies: it may have been named already. */
  private addType(value: number, at: Place): void {
    const named = this.nextType;
    if (named !== null && exactValue(named) !== value) {
      const mpls = value === 0x8847 && exactValue(named) === 0x8848;
      if (!mpls) this.words.failAt(named.at, `type 0x${value.toString(16)}`, 'another type');
    } else if (named === null) this.nextType = exact('eth_type', value, at);
    this.flushType();
  }

  private addImplied(field: FieldName, value: number, at: Place): void {
    const given = this.matches.find((one) => one.field === field);
    if (given === undefined) this.push(exact(field, value, at));
    else if (exactValue(given) !== value)
      this.words.failAt(given.at, `${field} ${value}`, 'another value');
  }

  private flushType(): void {
    if (this.nextType !== null) this.push(this.nextType);
    this.nextType = null;
  }

  private push(match: FieldMatch): void {
    const twice = this.matches.some((one) => one.field === match.field);
    if (twice) this.words.failAt(match.at, `${match.field} once`, 'it again');
    this.matches.push(match);
  }

  /** `tci`: the whole tag control word. */
  private readTci(specs: Map<FieldName, Spec>): void {
    const { words } = this;
    const at = words.at;
    words.take('tci');
    const verb = words.takeOneOf('is', 'spec', 'mask');
    const tci = words.takeNumber(0, 0xffff);
    const parts = [
      ['vlan_id', tci & 0xfff],
      ['vlan_dei', (tci >>> 12) & 1],
      ['vlan_pcp', tci >>> 13],
    ] as const;
    for (const [field, part] of parts) {
      const spec = specOf(specs, field, at);
      if (verb === 'mask') spec.mask = [part];
      else spec.value = [part];
    }
  }

  private addSpec(field: FieldName, spec: Spec): void {
    const { at } = spec;
    if (field === 'ip_frag' && spec.mask === null)
      this.words.failAt(at, `mask 0x${FRAGMENT_MASK.toString(16)} too`, 'spec alone');
    const mask = spec.mask ?? fullMask(field);
    if (isZero(mask)) return;
    const value = spec.value ?? new Array<number>(mask.length).fill(0);
    const name = this.tags > 1 ? (SECOND_TAG[field] ?? field) : field;
    if (spec.last !== null && spec.last.some((word, index) => word !== value[index])) {
      if (mask.length > 1 || !isFull(field, mask))
        this.words.failAt(at, 'last under a full mask of a field of up to 32 bits', 'a range');
      if (spec.last[0] < value[0]) this.words.failAt(at, 'last above spec', 'one below');
      this.push({ field: name, kind: 'range', low: value[0], high: spec.last[0], at });
    } else if (field === 'eth_type') this.nextType = { field, kind: 'mask', value, mask, at };
    else this.push({ field: name, kind: 'mask', value, mask, at });
  }

  /** A tunnel's item: what was read so far is about the outer headers. */
  private readTunnel(tunnel: { name: string; port: number }, at: Place): void {
    const { words } = this;
    words.take(tunnel.name);
    for (const match of this.matches) {
      const field = OUTER_FIELDS[match.field];
      if (field !== undefined) this.outer.push({ ...match, field });
      else if (match.field === 'in_port' || match.field === 'skb_mark') this.outer.push(match);
      else if (match.field !== 'eth_type' && match.field !== 'ip_proto')
        words.failAt(match.at, 'addresses, tos, ttl or ports of the outer headers', match.field);
    }
    this.matches = [];
    this.tags = 0;
    const port = this.outer.find((one) => one.field === 'tun_dport');
    if (port === undefined) this.outer.push(exact('tun_dport', tunnel.port, at));
    else if (exactValue(port) !== tunnel.port)
      words.failAt(port.at, `port ${tunnel.port} of ${tunnel.name}`, 'another port');
    const specs = new Map<FieldName, Spec>();
    while (words.peek() !== '/') {
      const place = words.at;
      words.takeOneOf('vni');
      readSpec(words, 'tun_id', specs, place);
    }
    const spec = specs.get('tun_id');
    if (spec === undefined) return;
    // The header has 24 bits: a full mask of them is an exact id.
    const mask = spec.mask ?? [0, 0xffffff];
    const full = mask[1] === 0xffffff;
    const value = spec.value ?? [0, 0];
    const match = { field: 'tun_id', kind: 'mask', value, at } as const;
    this.outer.push({ ...match, mask: full ? fullMask('tun_id') : mask });
  }
}

function specOf(specs: Map<FieldName, Spec>, field: FieldName, at: Place): Spec {
  let spec = specs.get(field);
  if (spec === undefined) {
    spec = { value: null, mask: null, last: null, at };
    specs.set(field, spec);
  }
  return spec;
}

function readSpec(words: Words, field: FieldName, specs: Map<FieldName, Spec>, at: Place): void {
  const spec = specOf(specs, field, at);
  const verb = words.takeOneOf('is', 'spec', 'last', 'mask', 'prefix');
  if (field === 'ip_frag') {
    readFragment(words, spec, verb);
    return;
  }
  if (verb === 'prefix') {
    const expected = `a prefix length of 0 to ${FIELD_BITS[field]}`;
    spec.mask = words.takeAs(expected, (text) => parsePrefix(field, text));
    return;
  }
  const value = words.takeAs(`a value of ${field}`, (text) => parseValue(field, text));
  if (verb === 'mask') spec.mask = value;
  else if (verb === 'last') spec.last = value;
  else {
    spec.value = value;
    if (verb === 'is') spec.mask = fullMask(field);
  }
}

/** `fragment_offset spec 0 mask 0x3fff`: whole packets only. Nothing else of the word is a field here. */
function readFragment(words: Words, spec: Spec, verb: string): void {
  const expected = `spec 0 and mask 0x${FRAGMENT_MASK.toString(16)} (whole packets)`;
  const wanted = verb === 'mask' ? FRAGMENT_MASK : 0;
  if (verb !== 'spec' && verb !== 'mask') words.fail(expected);
  words.takeAs(expected, (text) => (parseUnsigned(text) === wanted ? wanted : null));
  if (verb === 'mask') spec.mask = [1];
  else spec.value = [0];
}

function parseValue(field: FieldName, text: string): number[] | null {
  const bits = FIELD_BITS[field];
  if (bits === 48) return parseMacWords(text);
  if (/^(ipv4|ipv6)_(src|dst)$|^arp_.ip$/.test(field)) {
    const address = parseIp(text);
    return address !== null && address.words.length * 32 === bits ? address.words : null;
  }
  const value = parseWide(text, bits);
  return field === 'tun_id' && value !== null && (value[0] > 0 || value[1] > 0xffffff)
    ? null
    : value;
}
