// Numbers of the flows of one flowtable, a row of doubles per flow id: end of life, and the packets that each path has carried.

/** End of life unless refreshed, ps. */
export const F_TIMEOUT = 0;
/** Packets that the software path has forwarded: original, reply. */
export const F_SOFTWARE = 1;
/** Packets that drivers have reported: original, reply. */
export const F_HARDWARE = 3;

const ROW_SHIFT = 3;
const INITIAL_ROWS = 512;

export class FlowRows {
  private rows = new Float64Array(INITIAL_ROWS << ROW_SHIFT);

  /** A zeroed row for flow `id`. */
  clear(id: number): void {
    const end = (id + 1) << ROW_SHIFT;
    while (end > this.rows.length) {
      const bigger = new Float64Array(this.rows.length * 2);
      bigger.set(this.rows);
      this.rows = bigger;
    }
    this.rows.fill(0, id << ROW_SHIFT, end);
  }

  get(id: number, column: number): number {
    return this.rows[(id << ROW_SHIFT) + column];
  }

  set(id: number, column: number, value: number): void {
    this.rows[(id << ROW_SHIFT) + column] = value;
  }

  add(id: number, column: number, value: number): void {
    this.rows[(id << ROW_SHIFT) + column] += value;
  }
}
