// Conntrack's entries in the hook lists of a family: defragmentation at −400, tracking at −200, confirmation last.

import type { SkBuff } from '../../../../driver/skb.ts';
import {
  NF_ACCEPT,
  NF_INET_LOCAL_IN,
  NF_INET_LOCAL_OUT,
  NF_INET_POST_ROUTING,
  NF_INET_PRE_ROUTING,
  NF_STOLEN,
} from '../hooks.ts';
import type { Hook, HookState } from '../hooks.ts';
import type { StackPort } from '../stack-port.ts';
import type { Conntrack } from './conntrack.ts';

export const NF_IP_PRI_CONNTRACK_DEFRAG = -400;
export const NF_IP_PRI_CONNTRACK = -200;
export const NF_IP_PRI_LAST = 0x7fff_ffff;

class DefragHook implements Hook {
  readonly name = 'nf_defrag';
  readonly priority = NF_IP_PRI_CONNTRACK_DEFRAG;
  private readonly stack: StackPort;

  constructor(stack: StackPort) {
    this.stack = stack;
  }

  run(skb: SkBuff, state: HookState): number {
    const { bytes } = skb;
    const at = skb.networkAt;
    if (state.family === 2) {
      // MF or an offset.
      if ((bytes[at + 6] & 0x3f) === 0 && bytes[at + 7] === 0) return NF_ACCEPT;
      return this.stack.defrag.ipv4(skb) === null ? NF_STOLEN : NF_ACCEPT;
    }
    if (!hasFragmentHeader(bytes, at, skb.lenBytes)) return NF_ACCEPT;
    return this.stack.defrag.ipv6(skb) === null ? NF_STOLEN : NF_ACCEPT;
  }
}

/** Whether an IPv6 packet has a fragment header before its transport header. */
function hasFragmentHeader(bytes: Uint8Array, networkAt: number, lenBytes: number): boolean {
  let next = bytes[networkAt + 6];
  let at = networkAt + 40;
  const end = networkAt + lenBytes;
  while (next === 0 || next === 43 || next === 60) {
    if (at + 8 > end) return false;
    next = bytes[at];
    at += (bytes[at + 1] + 1) * 8;
  }
  return next === 44 && at + 8 <= end;
}

class TrackHook implements Hook {
  readonly name = 'nf_conntrack';
  readonly priority = NF_IP_PRI_CONNTRACK;
  private readonly ct: Conntrack;

  constructor(ct: Conntrack) {
    this.ct = ct;
  }

  run(skb: SkBuff, state: HookState): number {
    return this.ct.track(skb, state);
  }
}

class ConfirmHook implements Hook {
  readonly name = 'nf_conntrack_confirm';
  readonly priority = NF_IP_PRI_LAST;
  private readonly ct: Conntrack;

  constructor(ct: Conntrack) {
    this.ct = ct;
  }

  run(skb: SkBuff, state: HookState): number {
    return this.ct.confirm(skb, state);
  }
}

/** Registers and removes conntrack's hooks per family as rules that need it come and go (nf_ct_netns_get/put). */
export class ConntrackHooks {
  private readonly users = new Map<number, number>();
  private readonly stack: StackPort;
  private readonly entries: readonly (readonly [hook: number, entry: Hook])[];

  constructor(stack: StackPort, ct: Conntrack) {
    this.stack = stack;
    const defrag = new DefragHook(stack);
    const track = new TrackHook(ct);
    const confirm = new ConfirmHook(ct);
    this.entries = [
      [NF_INET_PRE_ROUTING, defrag],
      [NF_INET_LOCAL_OUT, defrag],
      [NF_INET_PRE_ROUTING, track],
      [NF_INET_LOCAL_OUT, track],
      [NF_INET_POST_ROUTING, confirm],
      [NF_INET_LOCAL_IN, confirm],
    ];
  }

  /** One more rule of a family (2 or 10) needs conntrack. */
  get(family: number): void {
    const users = this.users.get(family) ?? 0;
    this.users.set(family, users + 1);
    if (users > 0) return;
    for (const [hook, entry] of this.entries) this.stack.hooks.register(family, hook, entry);
  }

  /** A rule that needed conntrack is gone. */
  put(family: number): void {
    const users = (this.users.get(family) ?? 0) - 1;
    this.users.set(family, users);
    if (users > 0) return;
    for (const [hook, entry] of this.entries) this.stack.hooks.unregister(family, hook, entry);
  }
}
