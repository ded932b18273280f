// What traffic control asks of the stack around it.

import type { NetDevice } from '../../../driver/netdev.ts';
import type { Scheduler } from '../../../hw/time/scheduler.ts';

export interface TcPort {
  readonly scheduler: Scheduler;
  /** Which namespace of the machine it is in, from 0. */
  readonly index: number;
  deviceByName(name: string): NetDevice | null;
}
