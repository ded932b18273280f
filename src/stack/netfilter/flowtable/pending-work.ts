// How many work items for hardware are queued or running, as Linux counts them for /proc/net/stat/nf_flowtable (spec B.6.2): one
// more on the core that queues, one less on the core whose worker finishes. A line by itself may thus be negative, as in Linux; the
// sum over the cores is what is pending.

/** The three kinds, in the order of the file's columns. */
export type WorkKind = 'add' | 'del' | 'stats';

/** The core of the work queues (`alloc_workqueue` without a core; Linux would use any). */
const WORKER_CORE = 0;

export class PendingWork {
  readonly add: Int32Array;
  readonly del: Int32Array;
  readonly stats: Int32Array;

  constructor(cores: number) {
    this.add = new Int32Array(cores);
    this.del = new Int32Array(cores);
    this.stats = new Int32Array(cores);
  }

  queued(kind: WorkKind, core: number): void {
    this[kind][core]++;
  }

  finished(kind: WorkKind): void {
    this[kind][WORKER_CORE]--;
  }

  /** The file's text: a line a core. */
  text(): string {
    const column = (count: number): string => String(count).padStart(8);
    const lines = Array.from(this.add, (add, core) =>
      [add, this.del[core], this.stats[core]].map(column).join(' '),
    );
    return ['wq_add   wq_del   wq_stats', ...lines, ''].join('\n');
  }
}
