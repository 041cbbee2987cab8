// A service of `node:http` that calls by it, over connections that are kept: agent.js PORT
'use strict';

const { byAgent, serve } = require('./work.js');

serve(byAgent);
