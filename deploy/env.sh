# What the commands of deploy/README.md need, asked of the account: `. deploy/env.sh`. FLEET and AWS_REGION may be set before.

export FLEET="${FLEET:-gristmill}"
export AWS_REGION="${AWS_REGION:-$(aws configure get region)}"
export AWS_DEFAULT_REGION="$AWS_REGION"

# output STACK NAME
output() {
    aws cloudformation describe-stacks --stack-name "$FLEET-$1" \
        --query "Stacks[0].Outputs[?OutputKey=='$2'].OutputValue" --output text
}

# The account, and the default VPC with its subnets and its main route table, as words with commas between.
ACCOUNT=$(aws sts get-caller-identity --query Account --output text)
VPC=$(aws ec2 describe-vpcs --filters Name=is-default,Values=true --query 'Vpcs[0].VpcId' --output text)
SUBNETS=$(aws ec2 describe-subnets --filters "Name=vpc-id,Values=$VPC" Name=default-for-az,Values=true \
    --query "join(',', Subnets[].SubnetId)" --output text)
ROUTE_TABLES=$(aws ec2 describe-route-tables --filters "Name=vpc-id,Values=$VPC" Name=association.main,Values=true \
    --query "join(',', RouteTables[].RouteTableId)" --output text)

# Of the stack with the data.
QUEUE=$(output data Queue)
DATA_BUCKET=$(output data Bucket)
REPOSITORY=$(output data Repository)

export ACCOUNT VPC SUBNETS ROUTE_TABLES QUEUE DATA_BUCKET REPOSITORY
