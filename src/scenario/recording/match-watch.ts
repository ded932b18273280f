// Notes which connection state each packet has when it comes to the forward or input hooks, as a rule `ct state new|established|
// related|invalid counter` would: what the TCP-state recordings call "matched".

import type { SkBuff } from '../../../driver/skb.ts';
import { NF_ACCEPT, NF_INET_FORWARD, NF_INET_LOCAL_IN } from '../../stack/netfilter/hooks.ts';
import type { Hook, NetfilterHooks } from '../../stack/netfilter/hooks.ts';

const AF_INET = 2;
const AF_INET6 = 10;

/** enum ip_conntrack_info modulo IP_CT_IS_REPLY (3). */
const STATES = ['est', 'rel', 'new'] as const;

export class MatchWatch {
  private seen: string[] = [];

  constructor(hooks: NetfilterHooks) {
    const hook: Hook = {
      name: 'match-watch',
      priority: 1,
      run: (skb: SkBuff) => {
        this.seen.push(skb.nfct === null ? 'inv' : STATES[skb.ctinfo % 3]);
        return NF_ACCEPT;
      },
    };
    for (const family of [AF_INET, AF_INET6])
      for (const point of [NF_INET_FORWARD, NF_INET_LOCAL_IN]) hooks.register(family, point, hook);
  }

  /** States of the packets since `clear`, in order. */
  states(): string[] {
    return this.seen;
  }

  clear(): void {
    this.seen = [];
  }
}
