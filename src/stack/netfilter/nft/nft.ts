// The rule set of a machine and nft(8) on it (nftables 1.0.6): parse, apply as one transaction, run; list as text or JSON.
//
// A committed rule set is compiled into one program; base chains become hooks. Conntrack's hooks are registered for a family
// while some rule of that family needs them. Left out: the netlink encoding.

import type { NetDevice } from '../../../../driver/netdev.ts';
import type { SkBuff } from '../../../../driver/skb.ts';
import type { Conntrack } from '../conntrack/conntrack.ts';
import { ConntrackHooks } from '../conntrack/hooks.ts';
import type { FlowTables } from '../flowtable/flowtables.ts';
import { HOOK_NAMES, NF_ACCEPT, NF_DROP } from '../hooks.ts';
import type { Hook, HookState } from '../hooks.ts';
import type { StackPort } from '../stack-port.ts';
import { NatHooks } from '../nat/hooks.ts';
import type { Nat } from '../nat/nat.ts';
import { TRACE_CHAIN_VERDICT } from '../trace-steps.ts';
import type { Change } from './changes.ts';
import { parseCommands } from './command-parser.ts';
import type { Command } from './command-parser.ts';
import { compileRuleset, needsConntrack, needsCounting } from './compile.ts';
import { Evaluator } from './eval.ts';
import { NftError, renderError } from './lexer.ts';
import { jsonToSource } from './json-input.ts';
import { JsonFault } from './json-shape.ts';
import { listCommand } from './list.ts';
import type { LiveSet } from './live-set.ts';
import { MONITOR_JSON, MONITOR_TEXT, monitorJson, monitorText } from './monitor.ts';
import { KernelRefusal } from './refusal.ts';
import { Ruleset } from './ruleset.ts';
import type { Family } from './ast.ts';
import { applyCommand, copyRuleset, keepHandles } from './transaction.ts';

/** What a run of nft(8) gives. */
export interface NftResult {
  status: number;
  stdout: string;
  stderr: string;
}

/** Options of one run. */
export interface NftOptions {
  handles: boolean;
  json: boolean;
  check: boolean;
}

class ChainHook implements Hook {
  readonly name: string;
  readonly priority: number;
  private readonly evaluator: Evaluator;
  private readonly stack: StackPort;
  private readonly entry: number;
  private readonly policy: number;

  constructor(
    name: string,
    priority: number,
    policy: number,
    evaluator: Evaluator,
    stack: StackPort,
    entry: number,
  ) {
    this.name = name;
    this.priority = priority;
    this.policy = policy;
    this.evaluator = evaluator;
    this.stack = stack;
    this.entry = entry;
  }

  run(skb: SkBuff, state: HookState): number {
    const { trace } = this.stack;
    const { packetId } = skb;
    const verdict = this.evaluator.run(this.entry, this.policy, skb, state);
    if (trace !== null)
      trace.step(
        packetId,
        this.stack.scheduler.nowPs,
        TRACE_CHAIN_VERDICT,
        verdict,
        0,
        0,
        this.name,
      );
    return verdict;
  }
}

interface Registration {
  family: number;
  hookNumber: number;
  hook: Hook;
  /** Of type nat: run by NAT, for undecided connections only. */
  isNat: boolean;
}

/** AF numbers that a table's chains see. */
function familiesOf(family: Family): number[] {
  if (family === 'netdev') return [];
  return family === 'inet' ? [2, 10] : family === 'ip' ? [2] : [10];
}

export class Nft {
  readonly stack: StackPort;
  readonly conntrack: Conntrack;
  readonly flowtables: FlowTables;
  /** The committed rule set. */
  ruleset = new Ruleset();

  private readonly nat: Nat;
  private readonly natHooks: NatHooks;
  private readonly hooks: ConntrackHooks;
  private readonly tracked = new Set<number>();
  private registrations: Registration[] = [];
  private ingress: { dev: NetDevice; hook: Hook }[] = [];
  /** Sets of the running program whose elements change. */
  private live: LiveSet[] = [];
  /** Transactions so far, and the empty rule set. */
  private generation = 1;

  constructor(stack: StackPort, conntrack: Conntrack, flowtables: FlowTables, nat: Nat) {
    this.stack = stack;
    this.conntrack = conntrack;
    this.flowtables = flowtables;
    this.hooks = new ConntrackHooks(stack, conntrack);
    this.nat = nat;
    this.natHooks = new NatHooks(stack.hooks, nat);
  }

  /** Runs nft(8) with these arguments (without 'nft'); `stdin` for `-f -`, `readFile` for `-f FILE` (null: not found). */
  run(
    args: readonly string[],
    stdin = '',
    readFile: (name: string) => string | null = () => null,
  ): NftResult {
    const options: NftOptions = { handles: false, json: false, check: false };
    let file: string | null = null;
    const words: string[] = [];
    for (let i = 0; i < args.length; i++) {
      const arg = args[i];
      if (words.length > 0 || !arg.startsWith('-') || arg === '-') words.push(arg);
      else if (arg === '-f' || arg === '--file') file = args[++i] ?? '';
      else if (arg === '-v' || arg === '--version')
        return { status: 0, stdout: 'nftables v1.0.6 (Lester Gooch #5)\n', stderr: '' };
      else if (!readFlags(arg, options))
        return { status: 1, stdout: '', stderr: `nft: unrecognized option '${arg}'\n` };
    }
    if (file === null && words[0] === 'monitor') {
      this.stack.monitors.open(options.json ? MONITOR_JSON : MONITOR_TEXT);
      return { status: 0, stdout: '', stderr: '' };
    }
    if (file === null) return this.runSource(words.join(' '), null, options);
    const text = file === '-' ? stdin : readFile(file);
    const name = file === '-' ? '/dev/stdin' : file;
    if (text === null) {
      const stderr = `internal:0:0-0: Error: Could not open file "${name}": No such file or directory\n\n`;
      return { status: 1, stdout: '', stderr };
    }
    return this.runSource(text, name, options);
  }

  /** Loads rule-set text; the error text, '' for success. */
  load(text: string): string {
    return this.run(['-f', '-'], text).stderr;
  }

  private runSource(source: string, file: string | null, options: NftOptions): NftResult {
    const document = options.json ? parseJson(source) : undefined;
    if (document !== undefined) return this.runJson(document, options);
    try {
      // A command line ends in a newline.
      const commands = parseCommands(file === null ? `${source}\n` : source, this.stack.links);
      if (commands.length === 0 && file === null)
        throw new NftError('syntax error, unexpected end of file', 0, 1);
      return { status: 0, stdout: this.execute(commands, options), stderr: '' };
    } catch (error) {
      if (!(error instanceof NftError)) throw error;
      return { status: 1, stdout: '', stderr: renderError(error, source, file) };
    }
  }

  /** A JSON document; whatever is wrong in it has no place. */
  private runJson(document: unknown, options: NftOptions): NftResult {
    try {
      const commands = parseCommands(jsonToSource(document), this.stack.links);
      return { status: 0, stdout: this.execute(commands, options), stderr: '' };
    } catch (error) {
      if (error instanceof JsonFault) return { status: 1, stdout: '', stderr: error.render() };
      if (!(error instanceof NftError)) throw error;
      return { status: 1, stdout: '', stderr: new JsonFault(error.message).render() };
    }
  }

  /** One transaction; the listing text. Throws NftError, and then nothing has changed. */
  private execute(commands: readonly Command[], options: NftOptions): string {
    for (const set of this.live) set.harvest(this.stack.scheduler.nowPs);
    const next = copyRuleset(this.ruleset);
    const changes: Change[] = [];
    let stdout = '';
    let changed = false;
    try {
      for (const command of commands) {
        if (command.verb === 'list' || command.verb === 'reset')
          stdout += listCommand(next, command, options);
        else {
          applyCommand(next, command, this.flowtables, changes);
          changed = true;
        }
      }
      if (changed && !options.check) {
        this.commit(next);
        this.tellMonitors(changes);
      }
    } catch (error) {
      if (error instanceof KernelRefusal) keepHandles(next, this.ruleset);
      throw error;
    } finally {
      // Without effect after a commit.
      this.flowtables.abort();
    }
    return stdout;
  }

  private tellMonitors(changes: readonly Change[]): void {
    if (changes.length === 0) return;
    this.generation++;
    const { monitors } = this.stack;
    if (monitors.isOn(MONITOR_TEXT))
      monitors.print(MONITOR_TEXT, monitorText(changes, this.generation));
    if (monitors.isOn(MONITOR_JSON)) monitors.print(MONITOR_JSON, monitorJson(changes));
  }

  /** Makes a rule set the running one. */
  private commit(next: Ruleset): void {
    this.ruleset = next;
    this.flowtables.sync(next);
    for (const { family, hookNumber, hook, isNat } of this.registrations)
      (isNat ? this.natHooks : this.stack.hooks).unregister(family, hookNumber, hook);
    this.registrations = [];
    for (const { dev, hook } of this.ingress) this.stack.hooks.unregisterIngress(dev, hook);
    this.ingress = [];
    this.enableConntrack(next);
    if (needsCounting(next)) this.stack.sysctl.set('net.netfilter.nf_conntrack_acct', '1');
    const { program, entries, live } = compileRuleset(
      next,
      (table, name) => this.flowtables.runtime(table.family, table.name, name),
      this.nat,
      this.stack.scheduler.nowPs,
    );
    this.live = live;
    // A running evaluation keeps its own program: a rule set may be replaced from inside a packet's processing.
    const evaluator = new Evaluator(this.stack, this.conntrack, program);
    for (const table of next.tables)
      for (const chain of table.chains) {
        if (chain.base === null) continue;
        const name = `${table.family} ${table.name} ${chain.name}`;
        const policy = chain.base.policy === 'drop' ? NF_DROP : NF_ACCEPT;
        const entry = entries.get(chain) ?? 0;
        const { priority } = chain.base;
        const hook = new ChainHook(name, priority, policy, evaluator, this.stack, entry);
        if (chain.base.hook === 'ingress') {
          this.registerIngress(chain.base.devices, hook);
          continue;
        }
        const hookNumber = (HOOK_NAMES as readonly string[]).indexOf(chain.base.hook);
        for (const family of familiesOf(table.family)) {
          const isNat = chain.base.type === 'nat';
          (isNat ? this.natHooks : this.stack.hooks).register(family, hookNumber, hook);
          this.registrations.push({ family, hookNumber, hook, isNat });
        }
      }
  }

  private registerIngress(devices: readonly string[], hook: Hook): void {
    for (const name of devices) {
      const dev = this.stack.links.byName(name);
      if (dev === null) continue;
      this.stack.hooks.registerIngress(dev, hook);
      this.ingress.push({ dev, hook });
    }
  }

  private enableConntrack(next: Ruleset): void {
    const wanted = new Set<number>();
    for (const table of next.tables)
      for (const chain of table.chains)
        if (chain.base?.type === 'nat' || chain.rules.some((r) => needsConntrack(r.statements)))
          for (const family of familiesOf(table.family)) wanted.add(family);
    for (const family of [2, 10]) {
      if (wanted.has(family) === this.tracked.has(family)) continue;
      if (wanted.has(family)) {
        this.tracked.add(family);
        this.hooks.get(family);
      } else {
        this.tracked.delete(family);
        this.hooks.put(family);
      }
    }
  }
}

/** The document that a source is; undefined when it is none (then it is the nft language, also with -j). */
function parseJson(source: string): unknown {
  try {
    return JSON.parse(source) as unknown;
  } catch {
    return undefined;
  }
}

/** `-a`, `-j`, `-c`, `-n` and bundles of them; false for an unknown one. */
function readFlags(arg: string, options: NftOptions): boolean {
  const long: Record<string, string> = {
    '--handle': 'a',
    '--json': 'j',
    '--check': 'c',
    '--numeric': 'n',
  };
  const letters = arg.startsWith('--') ? (long[arg] ?? '?') : arg.slice(1);
  for (const letter of letters) {
    if (letter === 'a') options.handles = true;
    else if (letter === 'j') options.json = true;
    else if (letter === 'c') options.check = true;
    else if (letter !== 'n') return false;
  }
  return true;
}
