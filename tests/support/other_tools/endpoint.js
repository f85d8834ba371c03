'use strict';

// node --require endpoint.js: Serverless asks CloudFormation for the last deployment's layers even to package. Its SDK
// reads no AWS_ENDPOINT_URL.
const sdk = require(`${process.env.NODE_MODULES}/aws-sdk`);

sdk.config.update({ cloudformation: { endpoint: process.env.AWS_ENDPOINT_URL } });
