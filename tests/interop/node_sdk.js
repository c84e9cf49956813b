// node_sdk.js FOLDER CONFIG: a device of the npm package alibabacloud-iot-device-sdk, as installed
// in FOLDER/node_modules and not changed. CONFIG is what the package takes, as JSON.
//
// Each thing that happens is one line of standard output. On the first connect it subscribes to its
// custom topic; on every connect it posts a property. It answers what it is asked. SIGTERM ends it.
'use strict';

const path = require('path');

const [folder, config] = [process.argv[2], JSON.parse(process.argv[3])];
const iot = require(path.join(folder, 'node_modules', 'alibabacloud-iot-device-sdk'));
const device = iot.device(config);
const { productKey, deviceName } = config;
const own = `/${productKey}/${deviceName}/user`;
let connects = 0;

const say = (...words) => process.stdout.write(`${words.join(' ')}\n`);

device.on('connect', ([connack]) => {
  connects += 1;
  say('connect', connects, 'present', connack.sessionPresent);
  const number = connects;
  if (number === 1 && !connack.sessionPresent) {
    device.subscribe(`${own}/get`, { qos: 1 }, (error, granted) =>
      say('subscribed', error || granted.map(({ topic, qos }) => `${topic} ${qos}`)));
    device.postEvent('alarm', { level: 3 }, ({ code }) => say('event', code));
    device.publish(`${own}/update`, 'hello', { qos: 1 }, (error) => say('update', error || 'acked'));
  }
  device.postProps({ connects: number }, ({ code, id }) => say('props', number, code, id));
});
device.on('close', () => say('close'));
device.on('error', ([error]) => {
  say('error', error.message);
  device.end(true, () => process.exit(3));
});

// Property sets have no answer of the package's own.
device.onProps(({ id, method, params }) => {
  say('set', method, JSON.stringify(params));
  device.publish(`/sys/${productKey}/${deviceName}/thing/service/property/set_reply`,
    JSON.stringify({ id, code: 200, data: {} }));
});
// Of a call that waits, the topic is /rrpc/request/…, which the package tells nobody but itself.
device.onService('turn', ({ id, params }, reply) => {
  say('service', JSON.stringify(params));
  reply({ id, code: 200, data: { turned: params.by } }, params.waits ? 'sync' : 'async');
});
device.on('message', (topic, payload, { qos, dup }) => {
  if (topic.startsWith(own)) {
    say('message', topic, payload.toString(), 'qos', qos, 'dup', dup);
  }
});

process.on('SIGTERM', () => device.end(false, () => process.exit(0)));
