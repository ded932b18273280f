// From rules to the program that runs them (program.ts): each chain becomes a run of instructions; jumps are patched when all
// addresses are known.

import type { FlowTable } from '../flowtable/flowtable.ts';
import type { Nat } from '../nat/nat.ts';
import { helperOf } from '../conntrack/helpers.ts';
import type {
  CtStatement,
  MapRef,
  MatchStatement,
  Rhs,
  SetElement,
  SetUpdate,
  Statement,
} from './ast.ts';
import { META_OIFNAME, SOURCE_CT, SOURCE_META, SOURCE_NETWORK } from './fields.ts';
import type { Field } from './fields.ts';
import { isTracked, partsOf, typesOf } from './fields.ts';
import { first } from './key-order.ts';
import type { KeySet } from './key-set.ts';
import { wordsOf } from './key-words.ts';
import { natAction } from './nat-action.ts';
import { addressSet, bounds, keySetOf, numberSet, testOf } from './compile-data.ts';
import * as op from './program.ts';
import { rejectCodes } from './reject-codes.ts';
import { NameSet, Program } from './program.ts';
import type { Chain, Counter, Ruleset, Table } from './ruleset.ts';
import { LiveSet, SetUpdater } from './live-set.ts';
import { keysOf, valueOf } from './set-model.ts';
import type { NamedSet } from './set-model.ts';
import { compareScalars } from './types.ts';
import type { TypeName } from './types.ts';

/** The program, and the address of every base chain. */
export interface Compiled {
  program: Program;
  entries: Map<Chain, number>;
  /** The sets whose elements the program changes. */
  live: LiveSet[];
}

interface Patch {
  at: number;
  chain: Chain;
}

class Compiler {
  readonly program = new Program();
  readonly entries = new Map<Chain, number>();
  readonly live = new Map<NamedSet, LiveSet>();
  private readonly words: number[] = [];
  /** Names of the sets that rules of a table change: asked for every match. */
  private readonly changedSets = new Map<Table, ReadonlySet<string>>();
  private readonly patches: Patch[] = [];
  private readonly runtime: (table: Table, name: string) => FlowTable;
  private readonly nat: Nat;
  private readonly nowPs: number;

  constructor(runtime: (table: Table, name: string) => FlowTable, nat: Nat, nowPs: number) {
    this.runtime = runtime;
    this.nat = nat;
    this.nowPs = nowPs;
  }

  chain(table: Table, chain: Chain): void {
    this.entries.set(chain, this.words.length);
    for (const rule of chain.rules) {
      const start = this.words.length;
      this.program.places.set(start, `${table.family} ${table.name} ${chain.name}`);
      this.emit(op.OP_RULE, 0, rule.handle);
      for (const statement of rule.statements) this.statement(table, statement);
      this.words[start + 1] = this.words.length;
    }
    this.emit(op.OP_END);
  }

  finish(): Program {
    for (const { at, chain } of this.patches) this.words[at] = this.entries.get(chain) ?? 0;
    this.program.code = Int32Array.from(this.words);
    return this.program;
  }

  /** Sets with timeouts run down whether or not a rule asks them. */
  keepTime(set: NamedSet): void {
    if (set.hasTimeout) this.liveOf(set);
  }

  private emit(...words: number[]): void {
    this.words.push(...words);
  }

  private statement(table: Table, s: Statement): void {
    switch (s.kind) {
      case 'match':
        this.match(table, s);
        return;
      case 'counter':
        this.emit(op.OP_COUNT, this.program.counters.push(s.values) - 1);
        return;
      case 'counter-name':
        this.count(table.counter(s.name));
        return;
      case 'quota':
      case 'quota-name': {
        const quota = s.kind === 'quota' ? s.quota : table.quota(s.name);
        if (quota !== undefined) this.emit(op.OP_QUOTA, this.program.quotas.push(quota) - 1);
        return;
      }
      case 'accept':
      case 'drop':
        this.emit(op.OP_VERDICT, s.kind === 'accept' ? 1 : 0);
        return;
      case 'return':
        this.emit(op.OP_RETURN);
        return;
      case 'jump': {
        const target = table.chain(s.chain);
        if (target === undefined) return;
        this.patches.push({ at: this.words.length + 1, chain: target });
        this.emit(s.goto ? op.OP_GOTO : op.OP_JUMP, 0);
        return;
      }
      case 'flow':
        this.emit(op.OP_FLOW, this.program.flowtables.push(this.runtime(table, s.flowtable)) - 1);
        return;
      case 'set-mark':
        this.setMark(s);
        return;
      case 'vmap':
        this.vmap(table, s.key, s.map);
        return;
      case 'map-mark':
        this.mapMark(table, s);
        return;
      case 'set-update':
        this.setUpdate(table, s);
        return;
      case 'ct-label':
        this.emit(op.OP_CTLABEL, this.program.labels.push(s) - 1);
        return;
      case 'limit':
        this.emit(op.OP_LIMIT, this.program.limits.push(s) - 1);
        return;
      case 'notrack':
        this.emit(op.OP_NOTRACK);
        return;
      case 'ct-set':
        this.ctSet(table, s);
        return;
      case 'nat': {
        const elements = s.map === null ? [] : this.lookup(table, s.map.key, s.map.map);
        const index = this.program.nats.push(natAction(this.nat, s, elements)) - 1;
        this.emit(op.OP_NAT, index, s.map === null ? 0 : 1);
        return;
      }
      case 'reject':
        this.emit(op.OP_REJECT, ...rejectCodes(s.type, s.code));
        return;
      default: // log, comment: nothing to run
    }
  }

  private count(counter: Counter | undefined): void {
    if (counter === undefined) return;
    this.emit(op.OP_COUNT, this.program.counters.push(counter.values) - 1);
  }

  private setUpdate(table: Table, s: SetUpdate): void {
    const set = table.set(s.set.name);
    if (set === undefined) return;
    this.key(s.key);
    const updater = new SetUpdater(this.liveOf(set).keys, set, s);
    this.emit(op.OP_UPDATE, this.program.updaters.push(updater) - 1);
  }

  private setMark(s: Extract<Statement, { kind: 'set-mark' }>): void {
    const source = s.from === null ? 0 : s.from === 'meta' ? 1 : 2;
    this.emit(op.OP_SETMARK, s.target === 'ct' ? 1 : 0, source, s.and | 0, s.xor | 0);
  }

  private mapMark(table: Table, s: Extract<Statement, { kind: 'map-mark' }>): void {
    const elements = this.lookup(table, s.key, s.map);
    const values = Int32Array.from(elements, (e) => (valueOf(e) as number) | 0);
    this.emit(op.OP_MAPVALUE, this.program.valueMaps.push(values) - 1);
    this.emit(op.OP_SETMARK, s.target === 'ct' ? 1 : 0, 3, -1, 0);
  }

  private ctSet(table: Table, s: CtStatement): void {
    const directions = s.direction === null ? 3 : s.direction === 'original' ? 1 : 2;
    if (s.key === 'helper') {
      const object = table.helper(s.name);
      const helper = object === undefined ? null : helperOf(object.type, object.protocol);
      if (helper !== null)
        this.emit(op.OP_CTSET, 1, directions, this.program.helpers.push(helper) - 1);
    } else this.emit(op.OP_CTSET, s.key === 'zone' ? 0 : 2, directions, s.value);
  }

  private match(table: Table, s: MatchStatement): void {
    const { left } = s;
    const negated = s.op === '!=' ? 1 : 0;
    const isPlain = !NOT_IN_REGISTER.has(left.type);
    if (isPlain && s.right.kind !== 'set' && s.right.kind !== 'named') {
      this.guard(left);
      this.load(left);
      if (s.mask >= 0) this.emit(op.OP_AND, s.mask | 0);
      this.emit(op.OP_TEST, ...testOf(s));
      return;
    }
    const set = s.right.kind === 'named' ? table.set(s.right.name) : undefined;
    if (set !== undefined && this.isLive(table, set))
      this.find(left, this.liveOf(set).keys, negated);
    else if (left.type === 'amount') this.amount(s, elementsOf(table, s.right), negated);
    else this.membership(left, elementsOf(table, s.right), negated, s.mask);
  }

  /** Whether a set's elements change while the program runs. */
  private isLive(table: Table, set: NamedSet): boolean {
    if (set.hasTimeout || set.dynamic || set.statements.length > 0) return true;
    let changed = this.changedSets.get(table);
    if (changed === undefined) this.changedSets.set(table, (changed = setsChangedBy(table)));
    return changed.has(set.name);
  }

  private liveOf(set: NamedSet): LiveSet {
    let live = this.live.get(set);
    if (live === undefined) this.live.set(set, (live = new LiveSet(set, this.nowPs)));
    return live;
  }

  /** What must hold of the packet before the field is read. */
  private guard(field: Field): void {
    if (field.family !== 0) this.emit(op.OP_FAMILY, field.family);
    if (field.l4proto !== 0) this.emit(op.OP_L4PROTO, field.l4proto);
  }

  /** The field among these keys; the evaluator keeps which one it was. */
  private membership(field: Field, keys: readonly Rhs[], negated: number, mask = -1): void {
    if (field.parts.length > 0) {
      this.find(field, keySetOf(typesOf(field), keys), negated);
      return;
    }
    this.guard(field);
    const { program } = this;
    if (field.type === 'ifname') {
      const names = keys.map((e) => String(e.kind === 'value' ? e.value : ''));
      const index = program.nameSets.push(new NameSet(names)) - 1;
      this.emit(op.OP_IFNAME, field.key === META_OIFNAME ? 1 : 0, index, negated);
      return;
    }
    if (field.type === 'ipv6_addr') {
      const index = program.addressSets.push(addressSet(keys)) - 1;
      const opcode = field.source === SOURCE_CT ? op.OP_CTADDRESS6 : op.OP_ADDRESS6;
      this.emit(opcode, field.key, index, negated);
      return;
    }
    if (field.type === 'string') {
      const names = keys.map((e) => String(e.kind === 'value' ? e.value : ''));
      this.emit(op.OP_CTHELPER, program.helperNames.push(names) - 1, negated);
      return;
    }
    this.load(field);
    if (mask >= 0) this.emit(op.OP_AND, mask | 0);
    this.emit(op.OP_SET, program.numberSets.push(numberSet(keys)) - 1, negated);
  }

  /** Numbers that the register is too short for: every operator becomes ranges. */
  private amount(s: MatchStatement, keys: readonly Rhs[], negated: number): void {
    const [from, to] = bounds(keys[0]);
    const ends: Partial<Record<string, [number, number]>> = {
      '<': [0, from - 1],
      '<=': [0, to],
      '>': [to + 1, Infinity],
      '>=': [from, Infinity],
    };
    const range = ends[s.op];
    const set = range === undefined ? numberSet(keys) : Float64Array.from(range);
    this.emit(op.OP_CTAMOUNT, s.left.key, this.program.numberSets.push(set) - 1, negated);
  }

  /** The field, or all its parts, as the key; then that key in the set. */
  private find(field: Field, set: KeySet, negated: number): void {
    this.key(field);
    this.emit(op.OP_FIND, this.program.keySets.push(set) - 1, negated);
  }

  private key(field: Field): void {
    const parts = partsOf(field);
    for (const part of parts) this.guard(part);
    let at = 0;
    for (const part of parts) {
      if (part.type === 'ifname') this.emit(op.OP_KEYNAME, part.key === META_OIFNAME ? 1 : 0, at);
      else if (part.type === 'ipv6_addr') this.emit(op.OP_KEY6, part.key, at);
      else {
        this.load(part);
        this.emit(op.OP_KEY, at);
      }
      at += wordsOf(part.type);
    }
  }

  /** Finds the packet's key in a map; returns the elements in the order of their numbers. */
  private lookup(table: Table, key: Field, map: MapRef): readonly SetElement[] {
    const elements = map.kind === 'elements' ? map.elements : (table.set(map.name)?.elements ?? []);
    const named = map.kind === 'named' ? table.set(map.name) : undefined;
    if (named !== undefined && this.isLive(table, named)) {
      this.find(key, this.liveOf(named).keys, 0);
      return elements;
    }
    const sorted = [...elements];
    if (key.parts.length === 0) sorted.sort((a, b) => compareScalars(first(a.key), first(b.key)));
    this.membership(
      key,
      sorted.map((e) => e.key),
      0,
    );
    return sorted;
  }

  /** VMAP, then one verdict per element; what continues goes on behind them. */
  private vmap(table: Table, key: Field, map: MapRef): void {
    const elements = this.lookup(table, key, map);
    const targets = new Int32Array(elements.length);
    this.emit(op.OP_VMAP, this.program.verdictMaps.push(targets) - 1);
    elements.forEach(({ data }, i) => {
      targets[i] = this.words.length;
      if (data !== null && data.kind !== 'value' && data.kind !== 'continue')
        this.statement(table, data);
    });
    elements.forEach(({ data }, i) => {
      if (data?.kind === 'continue') targets[i] = this.words.length;
    });
  }

  private load(left: Field): void {
    if (left.source === SOURCE_META) this.emit(op.OP_META, left.key);
    else if (left.source === SOURCE_CT) this.emit(op.OP_CT, left.key);
    else {
      const bytes = Math.ceil((left.widthBits + left.shift) / 8);
      const mask = left.widthBits === 32 ? -1 : 2 ** left.widthBits - 1;
      const opcode = left.source === SOURCE_NETWORK ? op.OP_NETWORK : op.OP_TRANSPORT;
      this.emit(opcode, left.key, bytes, left.shift, mask);
    }
  }
}

/** Types whose values do not fit the register: they are looked up in sets. */
const NOT_IN_REGISTER = new Set<TypeName>(['ifname', 'ipv6_addr', 'string', 'amount']);

/** Names of the sets that rules of the table change. */
function setsChangedBy(table: Table): Set<string> {
  const names = new Set<string>();
  for (const chain of table.chains)
    for (const rule of chain.rules)
      for (const s of rule.statements) if (s.kind === 'set-update') names.add(s.set.name);
  return names;
}

function elementsOf(table: Table, rhs: Rhs): readonly Rhs[] {
  if (rhs.kind === 'set') return rhs.elements;
  return rhs.kind === 'named' ? keysOf(table.set(rhs.name)?.elements ?? []) : [rhs];
}

/** Compiles a whole rule set. `runtime` finds the running flowtable of a name. */
export function compileRuleset(
  ruleset: Ruleset,
  runtime: (table: Table, name: string) => FlowTable,
  nat: Nat,
  nowPs: number,
): Compiled {
  const compiler = new Compiler(runtime, nat, nowPs);
  for (const table of ruleset.tables) {
    for (const chain of table.chains) compiler.chain(table, chain);
    for (const set of table.sets) compiler.keepTime(set);
  }
  const live = [...compiler.live.values()];
  return { program: compiler.finish(), entries: compiler.entries, live };
}

/** Whether some rule asks for packets or bytes of connections: that switches their counting on (nf_ct_set_acct). */
export function needsCounting(ruleset: Ruleset): boolean {
  const asks = (s: Statement): boolean => s.kind === 'match' && s.left.type === 'amount';
  return ruleset.tables.some((t) =>
    t.chains.some((c) => c.rules.some((r) => r.statements.some(asks))),
  );
}

/** Whether statements need connection tracking. */
export function needsConntrack(statements: readonly Statement[]): boolean {
  return statements.some(
    (s) =>
      s.kind === 'flow' ||
      s.kind === 'nat' ||
      s.kind === 'ct-set' ||
      s.kind === 'ct-label' ||
      (s.kind === 'set-update' && isTracked(s.key)) ||
      (s.kind === 'match' && isTracked(s.left)) ||
      (s.kind === 'set-mark' && (s.target === 'ct' || s.from === 'ct')) ||
      (s.kind === 'map-mark' && (s.target === 'ct' || isTracked(s.key))) ||
      (s.kind === 'vmap' && isTracked(s.key)),
  );
}
