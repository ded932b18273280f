// Capture files: plain, gzipped (also damaged), missing; and what `dissect` prints of them.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { CaptureRecord, PcapWriter } from '../../../src/capture/index.ts';
import { captureChunks, CaptureOutput, openCapture } from '../../../src/node/capture-files.ts';
import { dissect } from '../../../src/node/commands/dissect.ts';

const PCAP = fileURLToPath(new URL('../../../fixtures/pcap/', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'flowtwin-capture-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Number of packets and bytes read, and the message at the end. */
async function readFile(path: string): Promise<{ packets: number; bytes: number; error: string }> {
  const record = new CaptureRecord();
  let packets = 0;
  let bytes = 0;
  try {
    const input = openCapture(path);
    try {
      do {
        while (input.next(record)) {
          packets++;
          bytes += record.lenBytes;
        }
      } while (await input.more());
    } finally {
      input.close();
    }
  } catch (error) {
    return { packets, bytes, error: (error as Error).message };
  }
  return { packets, bytes, error: '' };
}

function write(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

async function lines(path: string, json = false): Promise<{ lines: string[]; error: string }> {
  let text = '';
  let error = '';
  try {
    await dissect(path, json, (part) => (text += part));
  } catch (thrown) {
    error = (thrown as Error).message;
    expect((thrown as { exitCode?: number }).exitCode).toBe(2);
  }
  return { lines: text.split('\n').slice(0, -1), error };
}

describe('openCapture', () => {
  it('reads a plain file, counts as capinfos does', async () => {
    const result = await readFile(join(PCAP, 'default.pcap'));
    expect(result).toEqual({ packets: 5172, bytes: 1_612_610, error: '' });
  });

  it('reads gzip and what is in it alike', async () => {
    const zipped = join(PCAP, 'mixed.pcap.gz');
    const plain = write('mixed.pcap', gunzipSync(readFileSync(zipped)));
    expect(await readFile(zipped)).toEqual({ packets: 64, bytes: 14_180, error: '' });
    expect(await readFile(plain)).toEqual({ packets: 64, bytes: 14_180, error: '' });
    const chunks: Uint8Array[] = [];
    for await (const chunk of captureChunks(zipped)) chunks.push(chunk);
    expect(Buffer.concat(chunks).equals(readFileSync(plain))).toBe(true);
  });

  it('delivers what comes before the end of a gzip that is cut, then tells', async () => {
    const zipped = readFileSync(join(PCAP, 'mixed.pcap.gz'));
    const result = await readFile(write('cut.gz', zipped.subarray(0, 1500)));
    expect(result.packets).toBeGreaterThan(5);
    expect(result.error).toBe(
      `${folder}/cut.gz: packet ${result.packets + 1}: expected more data, found an error: unexpected end of file`,
    );
  });

  it.each([
    [
      'nothing',
      [],
      ': file header at offset 0: expected a capture, found the end of the file after 0',
    ],
    [
      'one byte',
      [0x1f],
      ': file header at offset 0: expected a capture, found the end of the file after 1',
    ],
  ])('tells of a file with %s', async (_name, bytes, message) => {
    const path = write('short', Uint8Array.from(bytes));
    expect(await readFile(path)).toEqual({ packets: 0, bytes: 0, error: path + message });
  });

  it('tells of a file that is not there, and of a folder', async () => {
    const missing = join(folder, 'missing');
    expect((await readFile(missing)).error).toBe(`${missing}: no such file or directory`);
    expect((await readFile(folder)).error).toBe(`${folder}: is a directory`);
  });

  it('writes files', async () => {
    const path = join(folder, 'out.pcap');
    const output = new CaptureOutput(path);
    const writer = new PcapWriter(output.sink);
    for (let n = 0; n < 2000; n++) writer.write(new Uint8Array(1000), 0, 1000, 1000, n, 0);
    writer.flush();
    output.close();
    expect(await readFile(path)).toEqual({ packets: 2000, bytes: 2_000_000, error: '' });
  });
});

describe('dissect', () => {
  it('prints a line for each packet, also for those without Ethernet header', async () => {
    const path = join(folder, 'odd.pcap');
    const output = new CaptureOutput(path);
    const writer = new PcapWriter(output.sink);
    const frame = Uint8Array.from([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xcc]);
    for (const lenBytes of [14, 0, 13, 14]) writer.write(frame, 0, lenBytes, 14, 1, 5000);
    writer.flush();
    output.close();
    const whole = 'in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x88cc)';
    expect(await lines(path)).toEqual({
      lines: [
        whole,
        'in_port(1) # 0 bytes: no Ethernet header',
        'in_port(1) # 13 bytes: no Ethernet header',
        whole,
      ],
      error: '',
    });
  });

  it('prints JSON', async () => {
    const { lines: text } = await lines(join(PCAP, 'qinq.pcap'), true);
    expect(text.length).toBe(54);
    expect(JSON.parse(text[0])).toEqual({
      number: 1,
      time: '1795246339.791302000',
      length: 50,
      wireLength: 50,
      interface: 0,
      linkType: 1,
      key: {
        in_port: '1',
        eth: { src: '02:00:00:00:03:02', dst: 'ff:ff:ff:ff:ff:ff' },
        eth_type: '0x88a8',
        vlan: { vid: '200', pcp: '0' },
        encap: {
          eth_type: '0x8100',
          vlan: { vid: '10', pcp: '0' },
          encap: {
            eth_type: '0x0806',
            arp: {
              sip: '10.3.0.2',
              tip: '10.3.0.3',
              op: '1',
              sha: '02:00:00:00:03:02',
              tha: '00:00:00:00:00:00',
            },
          },
        },
      },
      text: (await lines(join(PCAP, 'qinq.pcap'))).lines[0],
    });
  });

  it('prints everything before a fault', async () => {
    const bytes = readFileSync(join(PCAP, 'sll2.pcap')).subarray(0, 4000);
    const { lines: text, error } = await lines(write('fault.pcap', bytes));
    expect(text.length).toBeGreaterThan(10);
    expect(error).toContain(`fault.pcap: packet ${text.length + 1} at offset `);
  });
});
