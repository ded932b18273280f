// Actions of a flow as the datapath runs them: what `action-parse.ts` makes of the attributes, once, when a flow is installed.

import type { TunnelInfo } from '../lwtunnel/tunnel-info.ts';

/** ct(...): what is asked of connection tracking. */
export interface CtAction {
  readonly kind: 'ct';
  readonly commit: boolean;
  readonly force: boolean;
  readonly zone: number;
  /** Value and mask; null: left as it is. */
  readonly mark: { readonly value: number; readonly mask: number } | null;
  readonly labels: { readonly value: Uint8Array; readonly mask: Uint8Array } | null;
  /** '' for none. */
  readonly helper: string;
  readonly nat: CtNat | null;
  /** AF_INET or AF_INET6: of the flow that the action belongs to. */
  readonly family: number;
}

/** nat inside ct(). */
export interface CtNat {
  /** null: only what the connection already has. */
  readonly side: 'src' | 'dst' | null;
  /** Address range, null for none given. */
  readonly min: Uint8Array | null;
  readonly max: Uint8Array | null;
  /** Port range, 0 for none given. */
  readonly portMin: number;
  readonly portMax: number;
  readonly persistent: boolean;
  readonly hash: boolean;
  readonly random: boolean;
}

/** Actions that carry actions. */
export interface NestedAction {
  readonly kind: 'sample' | 'clone';
  /** Taken when a random 32-bit number is not above it; 0 never, 0xffffffff always. */
  readonly probability: number;
  readonly actions: readonly Action[];
  /** The actions may work on the packet's own key: nothing of it is needed afterwards, or they do not change it. */
  readonly sharesKey: boolean;
}

export interface CheckPktLenAction {
  readonly kind: 'check_pkt_len';
  readonly lenBytes: number;
  readonly greater: readonly Action[];
  readonly lessEqual: readonly Action[];
  readonly greaterSharesKey: boolean;
  readonly lessEqualSharesKey: boolean;
}

export interface UserspaceAction {
  readonly kind: 'userspace';
  readonly pid: number;
  readonly userdata: Uint8Array | null;
  /** The action list goes along. */
  readonly withActions: boolean;
  /** Port whose egress tunnel is asked for, −1 for none. */
  readonly egressTunPort: number;
}

/** set() of one key attribute: the bits in `mask` get those of `value`. */
export interface SetAction {
  readonly kind: 'set';
  readonly attr: number;
  readonly value: Uint8Array;
  readonly mask: Uint8Array;
}

export type Action =
  | { readonly kind: 'output'; readonly port: number }
  | { readonly kind: 'trunc'; readonly maxBytes: number }
  | UserspaceAction
  | SetAction
  | { readonly kind: 'set_tunnel'; readonly info: TunnelInfo }
  | { readonly kind: 'push_vlan'; readonly tpid: number; readonly tci: number }
  | { readonly kind: 'pop_vlan' }
  | { readonly kind: 'push_mpls'; readonly lse: number; readonly ethType: number }
  | { readonly kind: 'add_mpls'; readonly lse: number; readonly ethType: number }
  | { readonly kind: 'pop_mpls'; readonly ethType: number }
  | { readonly kind: 'push_eth'; readonly src: Uint8Array; readonly dst: Uint8Array }
  | { readonly kind: 'pop_eth' }
  | { readonly kind: 'recirc'; readonly id: number }
  | { readonly kind: 'hash'; readonly basis: number }
  | { readonly kind: 'meter'; readonly id: number }
  | { readonly kind: 'dec_ttl'; readonly exceeded: readonly Action[] }
  | { readonly kind: 'ct_clear' }
  | CtAction
  | NestedAction
  | CheckPktLenAction;
