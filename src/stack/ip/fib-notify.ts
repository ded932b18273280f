// The stack's side of FIB notifications: what drivers see of the routes, and their say in new ones (driver/fib-notifier.ts).

import type { FibTables } from '../../../driver/fib-notifier.ts';
import type { Kernel } from '../../../driver/kernel.ts';
import { OK } from '../answer.ts';
import type { Answer } from '../answer.ts';
import { AF_INET, AF_INET6 } from './address.ts';
import type { Fib } from './fib.ts';
import { RT_TABLE_LOCAL, RT_TABLE_MAIN } from './fib.ts';

export function fibTablesOf(fib: Fib): FibTables {
  return {
    routeCount(family) {
      const af = family === 'ipv4' ? AF_INET : AF_INET6;
      return [RT_TABLE_LOCAL, RT_TABLE_MAIN].reduce(
        (sum, table) => sum + fib.table(af, table).list().length,
        0,
      );
    },
    ruleCount: (family) => (family === 'ipv4' ? 3 : 2),
  };
}

/** What the first notifier that refuses a new route of a family says. */
export function askFibNotifiers(kernel: Kernel, family: number): Answer {
  const extack = { message: '', reason: '' };
  for (const notifier of kernel.fib.notifiers) {
    const error = notifier(family === AF_INET ? 'ipv4' : 'ipv6', extack);
    if (error !== 0) return { error, ...extack };
  }
  return OK;
}
