// The three ways in which a flowtable talks to drivers about a flow, behind one interface for the work items of hardware.ts.
//
// - block: today's kernel: rules of both directions to every callback that the devices bound through TC_SETUP_FT;
// - hook: `ndo_flow_offload` of the original direction's device, with STATS: drivers that have only the old hook;
// - rfc: the same hook as in 2017 (spec B.1): asked once, never for STATS, and flows in hardware do not age.

import type { FlowStats } from '../../../../driver/flow-offload.ts';
import type { ExtAck } from '../../../../driver/netdev.ts';
import type { Flow } from './flow.ts';

export type FormName = 'block' | 'hook' | 'rfc';

export interface OffloadForm {
  /** Software hits on a flow ask again, and STATS keep it alive; false: the driver ages what it took. */
  readonly refreshes: boolean;
  /**
   * Offers a flow. False when its rules cannot be built (no valid neighbour), and then `done` is not called; else `done` gets a
   * bit per direction that some device accepted, and the errno of the last refusal (0 for none).
   */
  add(flow: Flow, extack: ExtAck, done: (directions: number, error: number) => void): boolean;
  /** Takes a flow out of hardware; a driver's refusal counts for nothing. */
  remove(flow: Flow, extack: ExtAck, done: () => void): void;
  /** Asks for deltas. */
  stats(flow: Flow, stats: FlowStats, extack: ExtAck, done: () => void): void;
}
