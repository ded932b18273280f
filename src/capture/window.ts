// The stretch of a capture file that is in memory: bytes not yet read, and where in the file they are.
//
// Bytes come in at `end` and are read at `at`; `room` moves the unread rest to the front. It grows to what the caller
// feeds at once plus one unread record, never to a length that the file claims.

const FIRST_SIZE_BYTES = 16 * 1024;

export class CaptureWindow {
  bytes = new Uint8Array(FIRST_SIZE_BYTES);
  view = new DataView(this.bytes.buffer);
  /** Next byte to read. */
  at = 0;
  /** End of the bytes that have come in. */
  end = 0;
  /** Offset in the file of `bytes[0]`. */
  baseOffset = 0;

  /** Makes room for `roomBytes` at `end`: moves the unread bytes to the front, grows if that is not enough. */
  room(roomBytes: number): void {
    const unreadBytes = this.end - this.at;
    const neededBytes = unreadBytes + roomBytes;
    if (neededBytes > this.bytes.length) {
      const grown = new Uint8Array(2 ** Math.ceil(Math.log2(neededBytes)));
      grown.set(this.bytes.subarray(this.at, this.end));
      this.bytes = grown;
      this.view = new DataView(grown.buffer);
    } else if (this.at > 0) {
      this.bytes.copyWithin(0, this.at, this.end);
    }
    this.baseOffset += this.at;
    this.at = 0;
    this.end = unreadBytes;
  }
}
