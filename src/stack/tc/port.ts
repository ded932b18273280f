// What traffic control asks of the stack around it.

import type { NetDevice } from '../../../driver/netdev.ts';
import type { Scheduler } from '../../../hw/time/scheduler.ts';

export interface TcPort {
  readonly scheduler: Scheduler;
  /** Number of its namespace, which no other of the machine has or had. */
  readonly namespaceNumber: number;
  deviceByName(name: string): NetDevice | null;
}
