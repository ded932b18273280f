// The lines of `tc monitor`: qdiscs, chains and filters as they come and go (reference/offload/*.tc-monitor.txt).

import type { NetStack } from '../../stack/net-stack.ts';
import type { TcEvent } from '../../stack/tc/control.ts';
import { filterEventText, placeText, qdiscText } from './tc-list.ts';

const TOPIC = 'tc monitor';

/** From now on traffic control's changes are printed. */
export function watchTc(stack: NetStack): void {
  stack.monitors.open(TOPIC);
  stack.tc.onEvent = (event) => {
    stack.monitors.print(TOPIC, tcEventText(event));
  };
}

export function tcEventText(event: TcEvent): string {
  if (event.kind === 'qdisc') {
    const head = event.deleted ? 'deleted qdisc' : 'qdisc';
    return `${head} ${qdiscText(event.qdisc, true)}${event.deleted ? 'refcnt 0 ' : ''}\n`;
  }
  if (event.kind === 'chain') {
    const { block, chain, deleted } = event;
    const parent = block.index > 0 ? '' : 'parent ffff: ';
    const place = placeText(block, block.devices[0] ?? event.dev);
    return `${deleted ? 'deleted' : 'added'} chain ${place}${parent}chain ${chain.index} \n`;
  }
  const { block, chain, proto } = event.place;
  const direction = block.index > 0 ? '' : `${block.direction} `;
  const where = placeText(block, block.devices[0] ?? null) + direction;
  return filterEventText(event.what, where, proto, chain, event.filter);
}
