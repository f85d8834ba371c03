'use strict';

// Runs lambdapack before a service is packaged, and gives its functions what `lambdapack export serverless` says:
// layers, environment, ephemeral storage, statements for the role, and an alias that events point to.
//
//   plugins: [./lambdapack-plugin.js]
//   custom: {lambdapack: {functions: [NAME, …], build: true, options: [--place, s3]}}

const { execFileSync } = require('child_process');

class LambdapackPlugin {
  constructor(serverless) {
    this.serverless = serverless;
    this.settings = { functions: [], build: true, options: [] };
    this.hooks = {
      'before:package:initialize': () => this.prepare(),
      'after:package:compileFunctions': () => this.addAliases(),
    };
  }

  prepare() {
    const { service } = this.serverless;
    Object.assign(this.settings, service.custom && service.custom.lambdapack);
    if (this.settings.build) this.run(['build', '--quiet']);
    for (const name of this.settings.functions) {
      const exported = this.run(['export', 'serverless', '--function', name, '--json', ...this.settings.options]);
      this.apply(name, JSON.parse(exported).fragment);
    }
  }

  run(args) {
    try {
      return execFileSync('lambdapack', args, {
        cwd: this.serverless.serviceDir,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'inherit'],
      });
    } catch (error) {
      throw new this.serverless.classes.Error(`lambdapack ${args.join(' ')} failed: ${error.message}`);
    }
  }

  apply(name, fragment) {
    const { service } = this.serverless;
    const own = service.functions[name];
    if (!own) {
      throw new this.serverless.classes.Error(`custom.lambdapack.functions: there is no function ${name}`);
    }
    service.layers = service.layers || {};
    const layers = fragment.layers.map((artifact, number) => {
      const key = `lambdapack${number ? number + 1 : ''}`;
      service.layers[key] = {
        name: `${service.service}-${service.provider.stage}-${key}`,
        package: { artifact },
        compatibleRuntimes: [fragment.runtime],
        compatibleArchitectures: [fragment.architecture],
      };
      return { Ref: this.serverless.getProvider('aws').naming.getLambdaLayerLogicalId(key) };
    });
    own.runtime = fragment.runtime;
    own.architecture = fragment.architecture;
    if (layers.length) own.layers = [...(own.layers || service.provider.layers || []), ...layers];
    own.environment = { ...own.environment, ...fragment.environment };
    if (fragment.handler) own.handler = fragment.handler;
    if (fragment.code) own.package = { artifact: fragment.code };
    if (fragment.ephemeral_storage) own.ephemeralStorageSize = fragment.ephemeral_storage;
    this.allow(fragment.statements);
  }

  allow(statements) {
    const { provider } = this.serverless.service;
    provider.iam = provider.iam || {};
    provider.iam.role = provider.iam.role || {};
    const there = provider.iam.role.statements || [];
    // The functions of a service share the role, and a Sid may be there once.
    const sids = new Set(there.map((statement) => statement.Sid));
    provider.iam.role.statements = [...there, ...statements.filter((statement) => !sids.has(statement.Sid))];
  }

  // Before events are compiled: what they invoke is the alias then.
  addAliases() {
    const { naming } = this.serverless.getProvider('aws');
    const { service } = this.serverless;
    const resources = service.provider.compiledCloudFormationTemplate.Resources;
    for (const name of this.settings.functions) {
      const functionId = naming.getLambdaLogicalId(name);
      const version = Object.keys(resources).find(
        (id) =>
          resources[id].Type === 'AWS::Lambda::Version' &&
          resources[id].Properties.FunctionName.Ref === functionId
      );
      const logicalId = `${naming.getNormalizedFunctionName(name)}AliasLive`;
      resources[logicalId] = {
        Type: 'AWS::Lambda::Alias',
        Properties: {
          Name: 'live',
          FunctionName: { Ref: functionId },
          FunctionVersion: { 'Fn::GetAtt': [version, 'Version'] },
        },
      };
      service.functions[name].targetAlias = { name: 'live', logicalId };
    }
  }
}

module.exports = LambdapackPlugin;
