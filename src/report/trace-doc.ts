// docs/trace.md as text, made from the table of steps: a test keeps the committed file equal to this.

import { STEP_FORMS, TRACE_SCHEMA } from './trace-schema.ts';

/** The whole document. */
export function traceDocument(): string {
  const rows = Object.entries(STEP_FORMS)
    .sort((a, b) => Number(a[0]) - Number(b[0]))
    .map(([, form]) => {
      const fields = form.fields.map(([name]) => `\`${name}\``).join(', ');
      return `| \`${form.name}\` | ${form.means} | ${fields === '' ? '-' : fields} |`;
    });
  return `# The packet trace (\`flowtwin replay --trace FILE\`)

NDJSON: one record per packet, written when its fate is known. \`schema\` is \`${TRACE_SCHEMA}\`;
the number grows when a key changes its meaning or goes. Made from \`src/report/trace-schema.ts\`.

| key | meaning |
| --- | --- |
| \`packet\` | number in order of arrival, from 1 |
| \`port\`, \`arrivalPs\`, \`lenBytes\` | where and when the first bit arrived, length without FCS |
| \`key\` | the parsed flow key in the text syntax of OVS datapath keys |
| \`steps\` | in order of time: \`tPs\`, \`step\`, its fields, \`text\` where a step has words |
| \`fate\`, \`reason\`, \`endPs\` | how it ended, why (drops and local ends), and when |

Times are simulated, in picoseconds. Reasons are those of docs/run-report.md. Fields named
\`handle\` are flow-table entries, \`ifindex\` network devices.

| step | meaning | fields |
| --- | --- | --- |
${rows.join('\n')}
`;
}
