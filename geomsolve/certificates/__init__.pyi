from .certificate import Certificate as Certificate
from .certificate import certify as certify
from .dimension_bound import dimension_bound as dimension_bound
