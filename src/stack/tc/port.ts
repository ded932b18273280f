// What traffic control asks of the stack around it.

import type { NetDevice } from '../../../driver/netdev.ts';
import type { Scheduler } from '../../../hw/time/scheduler.ts';

export interface TcPort {
  readonly scheduler: Scheduler;
  deviceByName(name: string): NetDevice | null;
}
