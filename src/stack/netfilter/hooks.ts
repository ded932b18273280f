// Netfilter hook points: ordered lists of functions that the IP layer runs a packet through.
//
// Order is ascending priority, registration order among equals. A hook answers a verdict; ACCEPT goes on to the next,
// anything else ends the run. Fragments queued for reassembly, packets taken over by the fast path and packets handed to
// the neighbour layer are STOLEN: whoever stole the packet accounts for it.

import type { NetDevice } from '../../../driver/netdev.ts';
import type { SkBuff } from '../../../driver/skb.ts';

export const NF_DROP = 0;
export const NF_ACCEPT = 1;
export const NF_STOLEN = 2;

export const NF_INET_PRE_ROUTING = 0;
export const NF_INET_LOCAL_IN = 1;
export const NF_INET_FORWARD = 2;
export const NF_INET_LOCAL_OUT = 3;
export const NF_INET_POST_ROUTING = 4;
export const HOOK_COUNT = 5;

/** Names by hook number, as in rule sets and traces. */
export const HOOK_NAMES = ['prerouting', 'input', 'forward', 'output', 'postrouting'] as const;

/** Where in the stack the packet is. One object per call depth is reused: hooks must not keep it. */
export interface HookState {
  hook: number;
  /** 2 (AF_INET) or 10 (AF_INET6). */
  family: number;
  inDev: NetDevice | null;
  outDev: NetDevice | null;
}

export interface Hook {
  /** For traces and `nft list hooks`. */
  readonly name: string;
  readonly priority: number;
  run(skb: SkBuff, state: HookState): number;
}

const AF_INET6 = 10;

export class NetfilterHooks {
  private readonly lists: Hook[][] = Array.from({ length: 2 * HOOK_COUNT }, () => []);
  private readonly ingress = new Map<NetDevice, Hook[]>();
  private readonly states: HookState[] = [];
  private depth = 0;

  /** Registers for AF_INET (2) or AF_INET6 (10). */
  register(family: number, hookNumber: number, hook: Hook): void {
    insertByPriority(this.list(family, hookNumber), hook);
  }

  unregister(family: number, hookNumber: number, hook: Hook): void {
    removeHook(this.list(family, hookNumber), hook);
  }

  /** Registers at ingress of a device (before prerouting, both families). */
  registerIngress(dev: NetDevice, hook: Hook): void {
    const list = this.ingress.get(dev);
    if (list) insertByPriority(list, hook);
    else this.ingress.set(dev, [hook]);
  }

  unregisterIngress(dev: NetDevice, hook: Hook): void {
    const list = this.ingress.get(dev);
    if (list) removeHook(list, hook);
  }

  /** Whether anything is registered at a point: nothing is run, and nothing charged, where not. */
  hasHooks(family: number, hookNumber: number): boolean {
    return this.list(family, hookNumber).length > 0;
  }

  /** Runs the hooks of one point; the answer is NF_ACCEPT when all accepted. */
  run(
    family: number,
    hookNumber: number,
    skb: SkBuff,
    inDev: NetDevice | null,
    outDev: NetDevice | null,
  ): number {
    return this.runList(this.list(family, hookNumber), family, hookNumber, skb, inDev, outDev);
  }

  /** Runs the ingress hooks of a device. */
  runIngress(skb: SkBuff, dev: NetDevice, family: number): number {
    const list = this.ingress.get(dev);
    if (list === undefined || list.length === 0) return NF_ACCEPT;
    return this.runList(list, family, -1, skb, dev, null);
  }

  /** Hooks of one point in running order (a copy), for listings. */
  listed(family: number, hookNumber: number): Hook[] {
    return [...this.list(family, hookNumber)];
  }

  private list(family: number, hookNumber: number): Hook[] {
    return this.lists[(family === AF_INET6 ? HOOK_COUNT : 0) + hookNumber];
  }

  private runList(
    list: Hook[],
    family: number,
    hookNumber: number,
    skb: SkBuff,
    inDev: NetDevice | null,
    outDev: NetDevice | null,
  ): number {
    if (list.length === 0) return NF_ACCEPT;
    const state = (this.states[this.depth] ??= { hook: 0, family: 0, inDev: null, outDev: null });
    state.hook = hookNumber;
    state.family = family;
    state.inDev = inDev;
    state.outDev = outDev;
    this.depth++;
    let verdict = NF_ACCEPT;
    for (let i = 0; i < list.length; i++) {
      verdict = list[i].run(skb, state);
      if (verdict !== NF_ACCEPT) break;
    }
    this.depth--;
    return verdict;
  }
}

function insertByPriority(list: Hook[], hook: Hook): void {
  let at = list.length;
  while (at > 0 && list[at - 1].priority > hook.priority) at--;
  list.splice(at, 0, hook);
}

function removeHook(list: Hook[], hook: Hook): void {
  const at = list.indexOf(hook);
  if (at >= 0) list.splice(at, 1);
}
