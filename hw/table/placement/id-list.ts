// A growing list of small integers in a typed array: the neighbours of an entry (constraint-graph.ts).
//
// Sets took 16 bytes and 10 ns a member where this takes 4 and 1; overlapping rules have some thousand neighbours each.

export class IdList {
  items = new Int32Array(4);
  count = 0;

  push(id: number): void {
    if (this.count === this.items.length) {
      const larger = new Int32Array(this.count * 2);
      larger.set(this.items);
      this.items = larger;
    }
    this.items[this.count++] = id;
  }

  removeAt(at: number): void {
    this.items.copyWithin(at, at + 1, this.count--);
  }
}
