// The captures of a run as one sequence of records in time: several files merged by their time stamps, looped, limited.
//
// Each file keeps its own reader and record; the earliest head goes first (the earlier file of the list on a tie). Time
// is in ps since the earliest first packet of all files. A file that breaks off is reported and the others go on.

import { CaptureError, CaptureRecord } from '../capture/index.ts';
import { MonotonicTime } from '../capture/record.ts';
import { openCapture } from './capture-files.ts';
import type { CaptureInput } from './capture-files.ts';
import { InputError, UsageError } from './errors.ts';

/** One capture of a run. */
export interface SourceFile {
  /** Path, or `-` for standard input. */
  file: string;
  /** Port on which all of it arrives, −1 to let flags and split decide. */
  port: number;
}

export interface SourceOptions {
  loop: number;
  /** Packets at most, Infinity for all. */
  limit: number;
}

interface Head {
  input: CaptureInput;
  record: CaptureRecord;
  time: MonotonicTime;
  port: number;
  /** Time of its first packet after the earliest first packet, ps. */
  offsetPs: number;
  timePs: number;
  live: boolean;
}

/** Receives records in time order. */
export type RecordSink = (
  record: CaptureRecord,
  capturePs: number,
  port: number,
  place: number,
) => void;

export class Sources {
  /** Faults of the input, one line each. */
  readonly faults: string[] = [];
  /** Packets whose time ran backwards. */
  backwardsCount = 0;
  /** Absolute time of the earliest packet. */
  baseSeconds = 0;
  baseFractionPs = 0;
  /** Packets delivered. */
  count = 0;

  private readonly files: readonly SourceFile[];
  private readonly options: SourceOptions;
  private heads: Head[] | null = null;
  private round = 0;
  private roundStartPs = 0;
  private lastPs = 0;
  private gapPs = 0;
  private finished = false;

  constructor(files: readonly SourceFile[], options: SourceOptions) {
    if (options.loop > 1 && files.some((source) => source.file === '-'))
      throw new UsageError('--loop: standard input can be read only once');
    if (files.filter((source) => source.file === '-').length > 1)
      throw new UsageError('--in: standard input can be read only once');
    this.files = files;
    this.options = options;
  }

  /**
   * Delivers records while `mayPlay` allows the time of the next one; may be called again to go on. False when all have
   * been delivered.
   */
  async play(sink: RecordSink, mayPlay: (capturePs: number) => boolean = always): Promise<boolean> {
    while (!this.finished) {
      this.heads ??= await this.open(this.round === 0);
      if (await this.playRound(this.heads, sink, mayPlay)) return true;
      this.endRound(this.heads);
    }
    return false;
  }

  /** Closes every file. */
  close(): void {
    for (const head of this.heads ?? []) head.input.close();
    this.finished = true;
  }

  /** Plays the open files; true when `mayPlay` stopped it, false when they are through. */
  private async playRound(
    heads: readonly Head[],
    sink: RecordSink,
    mayPlay: (capturePs: number) => boolean,
  ): Promise<boolean> {
    while (this.count < this.options.limit) {
      const head = earliest(heads);
      if (head === null) return false;
      const capturePs = this.roundStartPs + head.timePs;
      if (!mayPlay(capturePs)) return true;
      this.gapPs = capturePs - this.lastPs;
      this.lastPs = capturePs;
      sink(head.record, capturePs, head.port, placeOf(head));
      this.count++;
      // Waiting only where the file needs it: a plain file is read without a single promise per packet.
      if (!this.advance(head) && head.live) await this.refill(head);
    }
    return false;
  }

  private endRound(heads: readonly Head[]): void {
    for (const head of heads) {
      this.backwardsCount += head.time.backwardsCount;
      head.input.close();
    }
    this.heads = null;
    this.round++;
    // The next round begins one gap after the last packet.
    this.roundStartPs = this.lastPs + this.gapPs;
    this.finished =
      this.round >= this.options.loop || this.count >= this.options.limit || this.faults.length > 0;
  }

  private async open(first: boolean): Promise<Head[]> {
    const heads: Head[] = [];
    for (const { file, port } of this.files) {
      const head: Head = {
        input: openCapture(file),
        record: new CaptureRecord(),
        time: new MonotonicTime(),
        port,
        offsetPs: 0,
        timePs: 0,
        live: true,
      };
      heads.push(head);
      if (!this.read(head)) await this.refill(head);
    }
    const live = heads.filter((head) => head.live);
    if (live.length === 0) return heads;
    if (first) {
      const base = live.map((head) => head.record).reduce(earlierRecord);
      this.baseSeconds = base.seconds;
      this.baseFractionPs = base.fractionPs;
    }
    for (const head of live) {
      const { seconds, fractionPs } = head.record;
      head.offsetPs = (seconds - this.baseSeconds) * 1e12 + (fractionPs - this.baseFractionPs);
      head.timePs = head.offsetPs + head.time.timePs(head.record);
    }
    return heads;
  }

  /** Reads the next record into the head; false when more bytes are needed or the file has ended. */
  private advance(head: Head): boolean {
    if (!this.read(head)) return false;
    head.timePs = head.offsetPs + head.time.timePs(head.record);
    return true;
  }

  private read(head: Head): boolean {
    try {
      return head.input.next(head.record);
    } catch (error) {
      return this.broken(head, error);
    }
  }

  private async refill(head: Head): Promise<void> {
    try {
      while (await head.input.more())
        if (head.input.next(head.record)) {
          head.timePs = head.offsetPs + head.time.timePs(head.record);
          return;
        }
      head.live = false;
    } catch (error) {
      this.broken(head, error);
    }
  }

  private broken(head: Head, error: unknown): false {
    if (!(error instanceof CaptureError) && !(error instanceof InputError)) throw error;
    this.faults.push(error.message);
    head.live = false;
    return false;
  }
}

/** Number of a record's interface within its section of a pcapng; −1 when that section has only one. */
function placeOf(head: Head): number {
  const { interfaces } = head.input;
  if (interfaces.length < 2) return -1;
  const own = interfaces[head.record.interfaceIndex];
  const section = interfaces.filter((one) => one.sectionIndex === own.sectionIndex);
  return section.length < 2 ? -1 : section.indexOf(own);
}

function always(): boolean {
  return true;
}

function earliest(heads: readonly Head[]): Head | null {
  let best: Head | null = null;
  for (let i = 0; i < heads.length; i++) {
    const head = heads[i];
    if (head.live && (best === null || head.timePs < best.timePs)) best = head;
  }
  return best;
}

function earlierRecord(a: CaptureRecord, b: CaptureRecord): CaptureRecord {
  if (a.seconds !== b.seconds) return a.seconds < b.seconds ? a : b;
  return a.fractionPs <= b.fractionPs ? a : b;
}
