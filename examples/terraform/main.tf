terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
    archive = {
      source  = "hashicorp/archive"
      version = ">= 2.4"
    }
  }
}

provider "aws" {}

# What `lambdapack export terraform` writes: layers, the role's policy, the alias.
module "dependencies" {
  source           = "./lambdapack_export"
  role             = aws_iam_role.months.name
  function_name    = aws_lambda_function.months.function_name
  function_version = aws_lambda_function.months.version
}

data "archive_file" "months" {
  type        = "zip"
  source_dir  = "${path.module}/src"
  output_path = "${path.module}/function.zip"
}

resource "aws_lambda_function" "months" {
  function_name    = "months"
  role             = aws_iam_role.months.arn
  filename         = data.archive_file.months.output_path
  source_code_hash = data.archive_file.months.output_base64sha256
  handler          = "app.handler"
  memory_size      = 1769
  timeout          = 10
  publish          = true

  runtime       = module.dependencies.runtime
  architectures = module.dependencies.architectures
  layers        = module.dependencies.layers

  environment {
    variables = module.dependencies.environment
  }

  ephemeral_storage {
    size = module.dependencies.ephemeral_storage
  }
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "months" {
  name               = "months"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy_attachment" "log" {
  role       = aws_iam_role.months.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
}

output "alias" {
  description = "What is to be invoked."
  value       = module.dependencies.alias_arn
}
