// `flowtwin dissect FILE [--json]`: the OVS flow key of every packet of a capture, one line per packet, whatever it is.
//
// Packet n is line n. A packet without an Ethernet header, or of a link layer that has no Ethernet form, still prints its
// line: the input port and, after `#`, why there is no more. `--json` prints one JSON object per line. A fault of the
// capture ends the program with one line on standard error and status 2, after everything before it has been printed.

import type { Command } from 'commander';
import {
  CaptureError,
  CaptureRecord,
  LINKTYPE_ETHERNET,
  MAX_GROWTH_BYTES,
  MAX_PACKET_BYTES,
  toEthernet,
} from '../../capture/index.ts';
import { FlowKey } from '../../stack/openvswitch/flow-key.ts';
import { extractFlowKey } from '../../stack/openvswitch/key-extract.ts';
import type { KeyAttribute } from '../../stack/openvswitch/flow-key-text.ts';
import { formatFlowKey, keyAttributes } from '../../stack/openvswitch/flow-key-text.ts';
import { openCapture, writeAll } from '../capture-files.ts';
import { InputError } from '../errors.ts';

/** Output is collected up to this many characters before it is written. */
const OUTPUT_CHARS = 64 * 1024;

/** Adds the command to the program. */
export function registerDissect(program: Command): void {
  program
    .command('dissect')
    .description('print the OVS flow key of every packet of a capture')
    .argument('<file>', 'pcap or pcapng file, may be gzipped; - for standard input')
    .option('--json', 'one JSON object per packet')
    .action(async (file: string, options: { json?: boolean }) => {
      await dissect(file, options.json === true, (text) => {
        writeAll('(standard output)', 1, new TextEncoder().encode(text));
      });
    });
}

/** Prints every packet of `file` through `write`. Throws InputError at a fault, after what comes before it is printed. */
export async function dissect(
  file: string,
  json: boolean,
  write: (text: string) => void,
): Promise<void> {
  const input = openCapture(file);
  const record = new CaptureRecord();
  const dissector = new Dissector();
  let text = '';
  try {
    do {
      while (input.next(record)) {
        text += json ? `${dissector.json(record)}\n` : `${dissector.line(record)}\n`;
        if (text.length < OUTPUT_CHARS) continue;
        write(text);
        text = '';
      }
    } while (await input.more());
  } catch (error) {
    if (error instanceof CaptureError) throw new InputError(error.message);
    throw error;
  } finally {
    if (text !== '') write(text);
    input.close();
  }
}

/** Makes a packet's line. Holds the frame buffer and the key that are used again for each. */
class Dissector {
  private readonly frame = new Uint8Array(MAX_PACKET_BYTES + MAX_GROWTH_BYTES);
  private readonly key = new FlowKey();

  line(record: CaptureRecord): string {
    const fault = this.extract(record);
    if (fault === '') return formatFlowKey(this.key);
    return `in_port(${this.key.inPort}) # ${fault}`;
  }

  json(record: CaptureRecord): string {
    const fault = this.extract(record);
    const hasKey = fault === '';
    const attributes = hasKey ? keyAttributes(this.key) : inPortOnly(this.key.inPort);
    const fraction = String(record.fractionPs).padStart(12, '0');
    return JSON.stringify({
      number: record.packetNumber,
      time: `${record.seconds}.${fraction.slice(0, record.fractionPs % 1000 === 0 ? 9 : 12)}`,
      length: record.lenBytes,
      wireLength: record.wireLenBytes,
      interface: record.interfaceIndex,
      linkType: record.linkType,
      ...(record.comment === '' ? {} : { comment: record.comment }),
      key: keyObject(attributes),
      text: hasKey ? formatFlowKey(this.key) : `in_port(${this.key.inPort})`,
      ...(hasKey ? {} : { fault }),
    });
  }

  /** Fills the key; returns why there is none, '' if there is. */
  private extract(record: CaptureRecord): string {
    const inPort = record.interfaceIndex + 1;
    const { key, frame } = this;
    key.inPort = inPort;
    if (record.linkType === LINKTYPE_ETHERNET) {
      const { bytes, at, lenBytes } = record;
      if (extractFlowKey(key, bytes, at, lenBytes, inPort)) return '';
      return `${lenBytes} bytes: no Ethernet header`;
    }
    const lenBytes = toEthernet(record, frame, 0);
    if (lenBytes >= 0 && extractFlowKey(key, frame, 0, lenBytes, inPort)) return '';
    return `${record.lenBytes} bytes of link type ${record.linkType}: no Ethernet form`;
  }
}

function inPortOnly(inPort: number): KeyAttribute[] {
  return [['in_port', String(inPort)]];
}

/** Attributes as an object; nested lists become nested objects. */
function keyObject(attributes: KeyAttribute[]): Record<string, unknown> {
  const object: Record<string, unknown> = {};
  for (const [name, value] of attributes) {
    object[name] = Array.isArray(value) ? keyObject(value) : value;
  }
  return object;
}
