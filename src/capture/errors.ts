// The one error of capture reading: bad bytes in a file, told in one line.
//
// Form: `FILE: packet N at offset O: expected ..., found ...` (or, before the first packet, the name of the header
// instead of the packet). Everything before the fault has been delivered when it is thrown. Misuse of the reader by
// the program (not of the file by its writer) throws ModelError instead.

/** A capture that cannot be read on from here. `message` is one line that names file, place and fault. */
export class CaptureError extends Error {
  override readonly name = 'CaptureError';
  /** Name of the file as given by the caller. */
  readonly file: string;
  /** Number of the packet being read, from 1; 0 when the fault is in a header. */
  readonly packetNumber: number;
  /** Offset in the (decompressed) file of the record or block that is at fault. */
  readonly offset: number;

  constructor(
    place: { file: string; packetNumber: number; what: string; offset: number },
    fault: string,
  ) {
    super(`${place.file}: ${place.what} at offset ${place.offset}: ${fault}`);
    this.file = place.file;
    this.packetNumber = place.packetNumber;
    this.offset = place.offset;
  }
}
