// NAT's entries in the hook lists (nf_nat_register_fn): they stand while a family has nat chains, and run those of their hook for
// connections that are not decided yet.

import type { SkBuff } from '../../../../driver/skb.ts';
import {
  HOOK_COUNT,
  NF_INET_LOCAL_IN,
  NF_INET_LOCAL_OUT,
  NF_INET_POST_ROUTING,
  NF_INET_PRE_ROUTING,
} from '../hooks.ts';
import type { Hook, HookState, NetfilterHooks } from '../hooks.ts';
import type { Nat } from './nat.ts';

const NF_IP_PRI_NAT_DST = -100;
const NF_IP_PRI_NAT_SRC = 100;

class NatHook implements Hook {
  readonly name: string;
  readonly priority: number;
  /** Nat chains of this hook, by their priority. */
  readonly chains: Hook[] = [];
  private readonly nat: Nat;

  constructor(nat: Nat, name: string, priority: number) {
    this.nat = nat;
    this.name = name;
    this.priority = priority;
  }

  run(skb: SkBuff, state: HookState): number {
    return this.nat.run(skb, state, this.chains);
  }
}

const POINTS: readonly (readonly [hook: number, name: string, priority: number])[] = [
  [NF_INET_PRE_ROUTING, 'nf_nat_prerouting', NF_IP_PRI_NAT_DST],
  [NF_INET_LOCAL_OUT, 'nf_nat_output', NF_IP_PRI_NAT_DST],
  [NF_INET_POST_ROUTING, 'nf_nat_postrouting', NF_IP_PRI_NAT_SRC],
  [NF_INET_LOCAL_IN, 'nf_nat_input', NF_IP_PRI_NAT_SRC],
];

export class NatHooks {
  private readonly hooks: NetfilterHooks;
  private readonly nat: Nat;
  /** Entries by family and hook, while they are registered. */
  private readonly entries = new Map<number, NatHook>();

  constructor(hooks: NetfilterHooks, nat: Nat) {
    this.hooks = hooks;
    this.nat = nat;
  }

  /** Adds a nat chain; the first of a family brings all four entries. */
  register(family: number, hook: number, chain: Hook): void {
    for (const [point, name, priority] of POINTS) {
      const key = keyOf(family, point);
      if (this.entries.has(key)) continue;
      const entry = new NatHook(this.nat, name, priority);
      this.entries.set(key, entry);
      this.hooks.register(family, point, entry);
    }
    const { chains } = this.entries.get(keyOf(family, hook)) as NatHook;
    let at = chains.length;
    while (at > 0 && chains[at - 1].priority > chain.priority) at--;
    chains.splice(at, 0, chain);
  }

  /** Removes a nat chain; the last of a family takes the entries with it. */
  unregister(family: number, hook: number, chain: Hook): void {
    const chains = this.entries.get(keyOf(family, hook))?.chains ?? [];
    const at = chains.indexOf(chain);
    if (at >= 0) chains.splice(at, 1);
    const own = POINTS.map(([point]) => ({ point, entry: this.entries.get(keyOf(family, point)) }));
    if (own.some(({ entry }) => entry !== undefined && entry.chains.length > 0)) return;
    for (const { point, entry } of own) {
      if (entry === undefined) continue;
      this.hooks.unregister(family, point, entry);
      this.entries.delete(keyOf(family, point));
    }
  }
}

function keyOf(family: number, hook: number): number {
  return family * HOOK_COUNT + hook;
}
