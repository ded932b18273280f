// Expectations (spec C.6; nf_conntrack_expect.c): a helper announces a connection that a protocol's control connection has agreed on;
// the first packet that fits becomes RELATED to its master, and the expectation is gone. One that nobody meets ends after its timeout.

import type { StackPort } from '../stack-port.ts';
import type { Helper } from './helper.ts';
import type { Connection } from './table.ts';
import type { Tuple } from './tuple.ts';

/** One expected connection. */
export interface Expectation {
  /** Source address (any port) and whole destination. */
  readonly tuple: Tuple;
  readonly master: Connection;
  readonly helper: Helper;
  untilPs: number;
  /** With NAT: direction that the expected connection has, and the destination port before translation; −1 without. */
  natDirection: number;
  savedPort: number;
}

export class Expectations {
  readonly list: Expectation[] = [];
  private readonly stack: StackPort;

  constructor(stack: StackPort) {
    this.stack = stack;
  }

  /** Whether nothing is expected: one comparison on the way of a new connection. */
  get isEmpty(): boolean {
    return this.list.length === 0;
  }

  /** Adds one; false when another already expects the same (EBUSY). The oldest of a full master goes. */
  add(expectation: Expectation, maxOfMaster: number, maxOfAll: number): boolean {
    this.expire();
    const same = this.list.findIndex((e) => sameTarget(e.tuple, expectation.tuple));
    if (same >= 0) {
      if (this.list[same].master !== expectation.master) return false;
      this.list.splice(same, 1);
    }
    const own = this.list.filter((e) => e.master === expectation.master);
    if (own.length >= maxOfMaster) this.list.splice(this.list.indexOf(own[0]), 1);
    if (this.list.length >= maxOfAll) return false;
    this.list.push(expectation);
    return true;
  }

  /** Takes the expectation that a new connection fits, null for none. */
  take(tuple: Tuple): Expectation | null {
    this.expire();
    const at = this.list.findIndex((e) => sourceFits(e.tuple, tuple) && sameTarget(e.tuple, tuple));
    return at < 0 ? null : this.list.splice(at, 1)[0];
  }

  /** The master is gone: nothing is expected on its behalf. */
  forget(master: Connection): void {
    for (let i = this.list.length - 1; i >= 0; i--)
      if (this.list[i].master === master) this.list.splice(i, 1);
  }

  expire(): void {
    const nowPs = this.stack.scheduler.nowPs;
    for (let i = this.list.length - 1; i >= 0; i--)
      if (this.list[i].untilPs <= nowPs) this.list.splice(i, 1);
  }
}

/** An expectation from an unknown source has a source address of zero. */
function sourceFits(want: Tuple, have: Tuple): boolean {
  if ((want.s0 | want.s1 | want.s2 | want.s3) === 0) return true;
  return want.s0 === have.s0 && want.s1 === have.s1 && want.s2 === have.s2 && want.s3 === have.s3;
}

function sameTarget(a: Tuple, b: Tuple): boolean {
  return (
    a.meta === b.meta &&
    (a.l4 & 0xffff) === (b.l4 & 0xffff) &&
    a.d0 === b.d0 &&
    a.d1 === b.d1 &&
    a.d2 === b.d2 &&
    a.d3 === b.d3
  );
}
