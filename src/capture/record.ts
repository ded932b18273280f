// One captured packet, as a record that the reader fills again and again, and the interfaces packets belong to.
//
// The bytes stay in the reader's window: valid until the next `feed`, `room` or `next`. Who keeps a packet copies it.
// Time is split so that nothing is lost: whole seconds since the epoch (fits a double for any 64-bit second that
// matters) and picoseconds within the second (at most 10^12 - 1, exact).

export const DIRECTION_UNKNOWN = 0;
export const DIRECTION_INBOUND = 1;
export const DIRECTION_OUTBOUND = 2;

const EMPTY = new Uint8Array(0);

/** One packet. Reused: copy what must outlive the next call of the reader. */
export class CaptureRecord {
  /** Array that holds the captured bytes; the packet starts at `at`. */
  bytes: Uint8Array = EMPTY;
  /** Index of the first captured byte in `bytes`. */
  at = 0;
  /** Captured length in bytes. */
  lenBytes = 0;
  /** Length on the wire in bytes, at least `lenBytes`. */
  wireLenBytes = 0;
  /** Whole seconds since 1970-01-01 (or whatever epoch the file uses). */
  seconds = 0;
  /** Picoseconds within the second, 0 to 10^12 - 1. */
  fractionPs = 0;
  /** Index into `CaptureReader.interfaces`; counts on over the sections of a pcapng. */
  interfaceIndex = 0;
  /** Link type of the interface (see link-types.ts). */
  linkType = 0;
  /** DIRECTION_* as the pcapng packet flags tell; unknown in classic pcap. */
  direction = DIRECTION_UNKNOWN;
  /** Whether bytes of the packet are missing in the file. */
  snapped = false;
  /** Number of the packet in the file, from 1. */
  packetNumber = 0;
  /** Offset of the packet's record or block in the (decompressed) file. */
  fileOffset = 0;
  /** The packet's comments (pcapng), joined by line feeds; '' when there is none. */
  comment = '';
}

/** One interface description of a capture. Classic files have exactly one. */
export interface CaptureInterface {
  readonly index: number;
  readonly linkType: number;
  /** Name such as `eth0`, '' when the file does not tell. */
  readonly name: string;
  readonly description: string;
  /** Longest captured length in bytes, 0 for no limit. */
  readonly snaplenBytes: number;
  /** Section of the pcapng it belongs to, from 0. */
  readonly sectionIndex: number;
  /** Units of its time stamps (see timestamp.ts). */
  readonly resolution: number;
}

/**
 * Time of a file's packets in ps since its first packet, never running backwards: a time before its predecessor's is
 * moved up to it and counted. One object per file.
 */
export class MonotonicTime {
  /** Packets whose time stamp was earlier than that of a packet before them. */
  backwardsCount = 0;
  /** Time of the latest packet, in ps since the first. */
  lastPs = 0;
  private started = false;
  private firstSeconds = 0;
  private firstFractionPs = 0;

  /** Time of `record` in ps since the first record given. Beyond 2^53 ps (2.5 h) it is rounded to the double grid. */
  timePs(record: CaptureRecord): number {
    if (!this.started) {
      this.started = true;
      this.firstSeconds = record.seconds;
      this.firstFractionPs = record.fractionPs;
      return 0;
    }
    const timePs =
      (record.seconds - this.firstSeconds) * 1e12 + (record.fractionPs - this.firstFractionPs);
    if (timePs < this.lastPs) {
      this.backwardsCount++;
      return this.lastPs;
    }
    this.lastPs = timePs;
    return timePs;
  }
}
