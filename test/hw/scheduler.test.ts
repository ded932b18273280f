// The event queue: tie order, cancel, reschedule from within, against a sorted array.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_EVENT, Scheduler } from '../../hw/time/scheduler.ts';

describe('scheduler', () => {
  it('runs equal times in the order of scheduling, also when scheduled from within', () => {
    const s = new Scheduler();
    const log: string[] = [];
    s.at(5, () => {
      log.push('a');
      s.at(5, () => log.push('c'));
      s.at(1, () => log.push('d')); // the past means now, after what is due
    });
    s.at(5, () => log.push('b'));
    s.runUntil(10);
    expect(log.join('')).toBe('adbc');
    expect(s.nowPs).toBe(10);
  });
  it('cancels once, and never what reused the slot', () => {
    const s = new Scheduler();
    const log: number[] = [];
    const id = s.at(1, () => log.push(1));
    expect(s.isPending(id)).toBe(true);
    expect(s.cancel(id)).toBe(true);
    const other = s.at(1, () => log.push(2));
    expect(s.cancel(id)).toBe(false);
    expect(s.cancel(NO_EVENT)).toBe(false);
    s.runUntil(2);
    expect(log).toEqual([2]);
    expect(s.isPending(other)).toBe(false);
  });
  it('agrees with a sorted array under random scheduling and cancelling', () => {
    const op = fc.tuple(fc.integer({ min: 0, max: 9 }), fc.boolean());
    fc.assert(
      fc.property(fc.array(op, { maxLength: 80 }), (ops) => {
        const s = new Scheduler();
        const got: number[] = [];
        const want: [number, number][] = [];
        const ids: number[] = [];
        ops.forEach(([t, cancels], n) => {
          if (cancels && ids.length > 0) {
            const victim = (t * 7) % ids.length;
            s.cancel(ids[victim]);
            const at = want.findIndex(([, id]) => id === victim);
            if (at >= 0) want.splice(at, 1);
          } else {
            const id = ids.length;
            ids.push(s.schedule(t, { onEvent: (arg) => got.push(arg) }, id));
            want.push([t, id]);
          }
          void n;
        });
        while (s.runNext());
        expect(got).toEqual(want.sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(([, id]) => id));
      }),
    );
  });
});
