// The actions of a tc filter into neutral ones (tc-actions(8) and one page per action).
//
// An action ends in a control word; `pipe` goes on, anything else becomes a final action of its own. Without a word the action's
// own default counts: pedit and csum stop with `ok`, mirred redirect with the packet taken, the others go on.
// Not here: bpf, connmark, ife, nat, simple, gate, ctinfo, bonds of controls (`ok/…` outside police), `random`.

import { ETH_MPLS_UC, ETH_VLAN, etherType } from './names.ts';
import type { Action, MeterVerdict, Place } from './rule.ts';
import { parsePedit } from './tc-pedit.ts';
import { parseCt, parseTunnelKey } from './tc-tunnel-ct.ts';
import type { Words } from './scan.ts';
import { fullMask } from './rule.ts';

const CONTROLS: Record<string, 'pipe' | 'drop' | 'pass' | 'trap' | 'continue'> = {
  pipe: 'pipe',
  drop: 'drop',
  shot: 'drop',
  ok: 'pass',
  pass: 'pass',
  trap: 'trap',
  continue: 'continue',
};

const KINDS = `drop, ok, pipe, trap, continue, goto, mirred, pedit, csum, vlan, tunnel_key, mpls, ct, police, sample or skbedit`;

/** One action as tc and the kernel have it. */
export interface TcAction {
  /** 'gact', 'mirred', 'pedit', ... */
  kind: string;
  /** What it does, without its control; empty for gact. */
  steps: Action[];
  /** Its control, given or by default; null where the action is its own ('stolen' of a redirect, a policer's). */
  control: TcControl | null;
  /** Given `index`, 0 for none. */
  index: number;
  /** Header of each `munge` of a pedit, in order. */
  headers: string[];
  /** Nothing but its index was given: an action that exists already is meant. */
  isReference: boolean;
}

export type TcControl =
  { kind: 'pipe' | 'drop' | 'pass' | 'trap' | 'continue' } | { kind: 'goto'; group: number };

/** Parses after the word `action` up to the end of the line. */
export function parseTcActions(words: Words): Action[] {
  return parseTcActionList(words).flatMap(({ steps, control, at }) => {
    if (control === null || control.kind === 'pipe') return steps;
    if (control.kind === 'goto') return [...steps, { kind: 'goto', group: control.group, at }];
    if (control.kind === 'trap') return [...steps, { kind: 'trap', detail: '', at }];
    return [...steps, { kind: control.kind, at }];
  });
}

/**
 * As parseTcActions, each action as a whole, with the place of its control. `mayRefer`: `KIND index N` alone stands for an action that the
 * machine has.
 */
export function parseTcActionList(words: Words, mayRefer = false): (TcAction & { at: Place })[] {
  const actions: (TcAction & { at: Place })[] = [];
  do {
    actions.push((mayRefer ? parseReference(words) : null) ?? parseOne(words));
    words.takeIf('action', 'actions');
  } while (!words.done);
  return actions;
}

/** `KIND index N` and nothing more that says what the action does; null where there is more. */
function parseReference(words: Words): (TcAction & { at: Place }) | null {
  const kind = words.peek();
  const isKind = kind === 'gact' || Object.hasOwn(PARSERS, kind);
  if (!isKind || words.peekAfter(kind) !== 'index') return null;
  const at = words.at;
  words.take(kind);
  const number = takeCommon(words);
  return { kind, steps: [], control: null, index: number, headers: [], isReference: true, at };
}

function parseOne(words: Words): TcAction & { at: Place } {
  const start = words.at;
  if (words.takeIf('gact') !== '' || words.peek() in CONTROLS || words.peek() === 'goto') {
    const at = words.at;
    const control = takeControl(words);
    if (control === null) words.fail('a control word');
    const gact = { kind: 'gact', steps: [], control, index: takeCommon(words), headers: [] };
    return { ...gact, isReference: false, at };
  }
  const word = words.peek();
  const parse = PARSERS[word] as ActionParser | undefined;
  if (parse === undefined) words.fail(KINDS);
  words.take(word);
  const steps: Action[] = [];
  const headers: string[] = [];
  const dflt = parse(words, steps, start, headers);
  const index = takeCommon(words);
  let control: TcControl | null = null;
  let at = words.at;
  if (dflt !== 'taken') {
    control = takeControl(words);
    if (control === null) {
      at = start;
      control = { kind: dflt === 'ok' ? 'pass' : 'pipe' };
    }
  }
  const given = takeCommon(words) || index;
  return { kind: word, steps, control, index: given, headers, isReference: false, at };
}

/** Takes a control word; null when the next word is none. */
function takeControl(words: Words): TcControl | null {
  if (words.takeIf('goto') !== '') {
    words.takeOneOf('chain');
    return { kind: 'goto', group: words.takeNumber(0, 0x0fffffff) };
  }
  const word = words.takeIf(...Object.keys(CONTROLS));
  return word === '' ? null : { kind: CONTROLS[word] };
}

/** What any action may carry and no rule is about: identity (the answer, 0 for none), statistics type, owner's cookie. */
function takeCommon(words: Words): number {
  let index = 0;
  for (;;) {
    if (words.takeIf('index') !== '') index = words.takeNumber(1, 0xffffffff);
    else if (words.takeIf('hw_stats') !== '')
      words.takeOneOf('any', 'immediate', 'delayed', 'disabled');
    else if (words.takeIf('cookie') !== '') words.take('a cookie');
    else if (words.takeIf('no_percpu') === '') return index;
  }
}

/** What follows an action that names no control: 'pipe', 'ok', or 'taken' where no control may follow. */
type ActionParser = (
  words: Words,
  into: Action[],
  at: Place,
  headers: string[],
) => 'pipe' | 'ok' | 'taken';

const PARSERS: Record<string, ActionParser> = {
  mirred: parseMirred,
  pedit: parsePedit,
  csum: parseCsum,
  vlan: parseVlan,
  tunnel_key: parseTunnelKey,
  mpls: parseMpls,
  ct: parseCt,
  police: parsePolice,
  sample: parseSample,
  skbedit: parseSkbedit,
};

function parseMirred(words: Words, into: Action[], at: Place): 'pipe' | 'taken' {
  words.takeOneOf('egress');
  const mirror = words.takeOneOf('redirect', 'mirror') === 'mirror';
  if (words.takeIf('index') !== '') words.takeNumber(1, 0xffffffff);
  words.takeOneOf('dev');
  const port = words.take('a device');
  into.push({ kind: mirror ? 'mirror' : 'output', port, at });
  if (mirror) return 'pipe';
  // A redirected packet is gone: `pipe` and `stolen` after it say nothing.
  words.takeIf('pipe', 'stolen');
  return 'taken';
}

const CSUM_TARGETS = ['ip', 'ip4h', 'iph', 'icmp', 'igmp', 'tcp', 'udp', 'udplite', 'sctp'];

function parseCsum(words: Words, into: Action[], at: Place): 'ok' {
  const headers: string[] = [];
  for (;;) {
    const word = words.takeIf('and', '+', ...CSUM_TARGETS);
    if (word === '') break;
    if (word !== 'and' && word !== '+') headers.push(/^ip/.test(word) ? 'ip' : word);
  }
  if (headers.length === 0) words.fail(CSUM_TARGETS.join(', '));
  into.push({ kind: 'checksum', headers, at });
  return 'ok';
}

function parseVlan(words: Words, into: Action[], at: Place): 'pipe' {
  const verb = words.takeOneOf('pop', 'push', 'modify');
  if (verb === 'pop') {
    into.push({ kind: 'pop_vlan', at });
    return 'pipe';
  }
  let id = -1;
  let pcp = -1;
  let tpid = -1;
  for (;;) {
    if (words.takeIf('id') !== '') id = words.takeNumber(0, 4095);
    else if (words.takeIf('priority', 'prio') !== '') pcp = words.takeNumber(0, 7);
    else if (words.takeIf('protocol', 'proto') !== '')
      tpid = words.takeAs('802.1Q or 802.1ad', etherType);
    else break;
  }
  if (id < 0) words.fail('id NUMBER');
  if (verb === 'push') {
    const tag = { tpid: tpid < 0 ? ETH_VLAN : tpid, id, pcp: Math.max(pcp, 0) };
    into.push({ kind: 'push_vlan', ...tag, at });
    return 'pipe';
  }
  into.push({ kind: 'set_field', field: 'vlan_id', value: [id], mask: fullMask('vlan_id'), at });
  if (pcp >= 0) into.push({ kind: 'set_field', field: 'vlan_pcp', value: [pcp], mask: [7], at });
  if (tpid >= 0)
    into.push({ kind: 'set_field', field: 'vlan_tpid', value: [tpid], mask: [0xffff], at });
  return 'pipe';
}

function parseMpls(words: Words, into: Action[], at: Place): 'pipe' {
  const verb = words.takeOneOf('pop', 'push', 'modify', 'dec_ttl');
  if (verb === 'dec_ttl') into.push({ kind: 'dec_ttl', at });
  if (verb === 'dec_ttl') return 'pipe';
  const given = { label: -1, tc: -1, ttl: -1, bos: -1 };
  const limits = { label: 0xfffff, tc: 7, ttl: 255, bos: 1 };
  let tpid = -1;
  for (;;) {
    const name = words.takeIf('label', 'tc', 'ttl', 'bos') as keyof typeof given | '';
    if (name !== '') given[name] = words.takeNumber(0, limits[name]);
    else if (words.takeIf('protocol') !== '') tpid = words.takeAs('a protocol', etherType);
    else break;
  }
  if (verb === 'pop') {
    if (tpid < 0) words.fail('protocol of what is below the label');
    into.push({ kind: 'pop_mpls', tpid, at });
  } else if (verb === 'push') {
    if (given.label < 0) words.fail('label NUMBER');
    const { label, tc, ttl, bos } = given;
    // The kernel's own for what is left out: TTL of the packet (here 0), bottom of stack set.
    const rest = { tc: Math.max(tc, 0), ttl: Math.max(ttl, 0), bos: bos < 0 ? 1 : bos };
    into.push({ kind: 'push_mpls', tpid: tpid < 0 ? ETH_MPLS_UC : tpid, label, ...rest, at });
  } else
    for (const name of ['label', 'tc', 'bos', 'ttl'] as const) {
      if (given[name] < 0) continue;
      const field = `mpls_${name}` as const;
      into.push({ kind: 'set_field', field, value: [given[name]], mask: fullMask(field), at });
    }
  return 'pipe';
}

const RATE_UNITS: Record<string, number> = { '': 1 / 8, bit: 1 / 8, bps: 1 };
const SI: Record<string, number> = { '': 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 };
const IEC: Record<string, number> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

/** tc's RATE: '1mbit', '10kbps' (bytes), '1mibit'; bytes per second. */
export function parseRate(text: string): number | null {
  const parts = /^([0-9]+(?:\.[0-9]+)?)([kmgt]?)(i?)(bit|bps|)$/.exec(text.toLowerCase());
  if (parts === null || (parts[3] === 'i' && parts[2] === '')) return null;
  const scale = parts[3] === 'i' ? IEC[parts[2]] : SI[parts[2]];
  const rate = Number(parts[1]) * scale * RATE_UNITS[parts[4]];
  return rate > 0 ? Math.round(rate * 8) / 8 : null;
}

/** tc's SIZE: '10k', '10kb', '1500b', '1500'; bytes. */
export function parseSize(text: string): number | null {
  const parts = /^([0-9]+(?:\.[0-9]+)?)([kmg]?)(b|bit|)$/.exec(text.toLowerCase());
  if (parts === null) return null;
  return Math.round((Number(parts[1]) * IEC[parts[2]]) / (parts[3] === 'bit' ? 8 : 1));
}

const VERDICTS: Record<string, MeterVerdict> = {
  drop: 'drop',
  shot: 'drop',
  ok: 'pass',
  pass: 'pass',
  pipe: 'pipe',
  continue: 'pipe',
  reclassify: 'reclassify',
};

function parsePolice(words: Words, into: Action[], at: Place): 'pipe' | 'taken' {
  let rateBytesPerS = -1;
  let burstBytes = -1;
  let mtuBytes = 0;
  let exceed: MeterVerdict = 'reclassify';
  let conform: MeterVerdict = 'pass';
  let index = 0;
  for (;;) {
    if (words.takeIf('rate') !== '') rateBytesPerS = words.takeAs('a rate', parseRate);
    else if (words.takeIf('burst', 'buffer', 'maxburst') !== '')
      burstBytes = words.takeAs('a size', parseSize);
    else if (words.takeIf('mtu', 'minburst') !== '') mtuBytes = words.takeAs('a size', parseSize);
    else if (words.takeIf('index') !== '') index = words.takeNumber(1, 0xffffffff);
    else if (words.takeIf('conform-exceed') !== '') {
      const pair = words.takeAs('EXCEED[/CONFORM] of drop, ok, pipe, reclassify', (text) => {
        const parts = text.split('/').map((one) => (one in VERDICTS ? VERDICTS[one] : null));
        return parts.length > 2 || parts.includes(null) ? null : (parts as MeterVerdict[]);
      });
      exceed = pair[0];
      if (pair.length > 1) conform = pair[1];
    } else if (words.peek() in VERDICTS) exceed = VERDICTS[words.take('a control word')];
    else break;
  }
  if (rateBytesPerS < 0 && index > 0) {
    into.push({ kind: 'meter', id: index, at });
    return 'taken';
  }
  if (rateBytesPerS < 0) words.fail('rate RATE or index NUMBER');
  if (burstBytes < 0) words.fail('burst SIZE');
  into.push({ kind: 'police', rateBytesPerS, burstBytes, mtuBytes, exceed, conform, at });
  return 'taken';
}

function parseSample(words: Words, into: Action[], at: Place): 'pipe' {
  const found = { rate: -1, group: -1, trunc: 0 };
  for (;;) {
    const name = words.takeIf('rate', 'group', 'trunc') as keyof typeof found | '';
    if (name === '') break;
    found[name] = words.takeNumber(name === 'rate' ? 1 : 0, 0xffffffff);
  }
  if (found.rate < 0) words.fail('rate NUMBER');
  if (found.group < 0) words.fail('group NUMBER');
  into.push({ kind: 'sample', rate: found.rate, group: found.group, truncBytes: found.trunc, at });
  return 'pipe';
}

function parseSkbedit(words: Words, into: Action[], at: Place): 'pipe' {
  const before = into.length;
  for (;;) {
    if (words.takeIf('mark') !== '') {
      const mark = words.takeAs('a mark, [/MASK]', (text) => {
        const parts = /^(0x[0-9a-f]{1,8}|[0-9]+)(?:\/(0x[0-9a-f]{1,8}|[0-9]+))?$/i.exec(text);
        if (parts === null) return null;
        const mask = parts[2] === undefined ? 0xffffffff : Number(parts[2]);
        return { value: Number(parts[1]), mask };
      });
      into.push({ kind: 'mark', ...mark, at });
    } else if (words.takeIf('queue_mapping') !== '')
      into.push({ kind: 'queue', index: words.takeNumber(0, 0xffff), at });
    else if (words.takeIf('priority') !== '') {
      const value = [words.takeNumber(0, 0xffffffff)];
      into.push({
        kind: 'set_field',
        field: 'skb_priority',
        value,
        mask: fullMask('skb_priority'),
        at,
      });
    } else break;
  }
  if (into.length === before) words.fail('mark, queue_mapping or priority');
  return 'pipe';
}
