// One offloaded connection (struct flow_offload, spec B.2): both directions, state bits, and what hardware was told.

import type { FlowOffload } from '../../../../driver/flow-offload.ts';
import type { NetDevice } from '../../../../driver/netdev.ts';
import type { Route } from '../../ip/fib.ts';
import type { Connection } from '../conntrack/table.ts';
import type { DirectXmit } from './forward-path.ts';

export const NF_FLOW_SNAT = 1 << 0;
export const NF_FLOW_DNAT = 1 << 1;
/** No more hits; waits for removal. */
export const NF_FLOW_TEARDOWN = 1 << 2;
/** A work item for hardware is queued or running: at most one per flow. */
export const NF_FLOW_PENDING = 1 << 3;
/** Candidate for hardware (not: in hardware). */
export const NF_FLOW_HW = 1 << 4;
/** The deletion from hardware is queued. */
export const NF_FLOW_HW_DYING = 1 << 5;
/** The deletion is done: the entry may be freed. */
export const NF_FLOW_HW_DEAD = 1 << 6;

/** What one direction needs to be forwarded. Shared: never changed once a flow has it. */
export interface FlowSide {
  /** Device that its packets arrive on (the real one under a VLAN device), and their VLAN id, −1 for untagged. */
  inDev: NetDevice;
  vlanId: number;
  /** Its way out; route.dev is the device that the stack sends through. */
  route: Route;
  outDev: NetDevice;
  /** Header and device where they are known (through a bridge); null: by the neighbour of the next hop. */
  direct: DirectXmit | null;
  /** Longest packet that goes this way, bytes. */
  mtuBytes: number;
}

/** Why a flow ended; 'user': handed back to the classic path by a command. */
export type TeardownCause =
  'fin-rst' | 'idle' | 'ct-gone' | 'route' | 'device-down' | 'flush' | 'user';

/**
 * One flow. Times and counters are in its flowtable's `FlowRows` (numbers in an object would be boxed, one by one). What both
 * directions need is shared between flows (`sides`): most flows of a route differ in nothing there.
 */
export class Flow {
  readonly id: number;
  readonly conn: Connection;
  /** Row of the connection (held until the flow is freed). */
  readonly ctId: number;
  readonly protocol: number;
  flags: number;
  readonly original: FlowSide;
  readonly reply: FlowSide;
  /** The driver's key of the original direction; the reply's is one more. 0 when the flowtable does not offload. */
  cookie = 0;
  /** What `ndo_flow_offload` was given; null before the first request, and when drivers are asked through flow blocks. */
  offload: FlowOffload | null = null;
  /** Directions that drivers are believed to have: bit 0 original, bit 1 reply. */
  hwDirections = 0;
  cause: TeardownCause = 'idle';

  constructor(
    id: number,
    conn: Connection,
    protocol: number,
    flags: number,
    original: FlowSide,
    reply: FlowSide,
  ) {
    this.id = id;
    this.conn = conn;
    this.ctId = conn.id;
    this.protocol = protocol;
    this.flags = flags;
    this.original = original;
    this.reply = reply;
  }

  /** What packets of a direction (0 original, 1 reply) need. */
  side(direction: number): FlowSide {
    return direction === 0 ? this.original : this.reply;
  }
}
